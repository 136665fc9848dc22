#include "proxy/tls/certificate_rules.h"

#include <openssl/asn1.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <string_view>

#include "proxy/base/str.h"
#include "proxy/tls/spiffe_id.h"
#include "proxy/tls/x509_info.h"

namespace pillion::tls {
namespace {

constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;    // larger ones cost a millisecond a signature
constexpr int kMaxSerialBytes = 20;  // RFC 5280, 4.1.2.2
// Each is compared with all others, before it is known who signed them.
constexpr int kMaxExtensions = 64;

using MaybeFault = std::optional<Fault>;

Fault malformed(std::string text) { return {SSL_AD_BAD_CERTIFICATE, std::move(text)}; }
Fault unsupported(std::string text) { return {SSL_AD_UNSUPPORTED_CERTIFICATE, std::move(text)}; }

std::string_view view(const ASN1_STRING* s) noexcept {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)),
          static_cast<size_t>(ASN1_STRING_length(s))};
}

std::string oid_text(const ASN1_OBJECT* object) {
  char text[80];
  const int size = OBJ_obj2txt(text, sizeof text, object, /*always_return_oid=*/0);
  return size <= 0 ? "?" : std::string(text);
}

MaybeFault fault_of_serial(const x509_st& c) {
  const ASN1_INTEGER* serial = X509_get0_serialNumber(&c);
  if (ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER) {
    return malformed("has a negative serial number");
  }
  if (ASN1_STRING_length(serial) > kMaxSerialBytes) {
    return malformed("has a serial number of more than 20 bytes");
  }
  return {};
}

// "Z" is the only zone (RFC 5280, 4.1.2.5); what the library makes of others is its own affair.
MaybeFault fault_of_dates(const x509_st& c) {
  for (const ASN1_TIME* time : {X509_get0_notBefore(&c), X509_get0_notAfter(&c)}) {
    if (!view(time).ends_with('Z')) return malformed("has a date that is not in UTC");
  }
  return {};
}

// An extension that comes twice has two meanings (RFC 5280, 4.2).
MaybeFault fault_of_extensions(const x509_st& c) {
  const int count = X509_get_ext_count(&c);
  if (count > kMaxExtensions)
    return malformed(str("has ", count, " extensions, at most ", kMaxExtensions, " are looked at"));
  for (int i = 0; i < count; ++i) {
    const X509_EXTENSION* extension = X509_get_ext(&c, i);
    const ASN1_OBJECT* id = X509_EXTENSION_get_object(extension);
    if (X509_get_ext_by_OBJ(&c, id, i) >= 0) {
      return malformed(str("has the extension ", oid_text(id), " twice"));
    }
    if (X509_EXTENSION_get_critical(extension) && !X509_supported_extension(extension)) {
      return unsupported(
          str("has a critical extension that is not understood (", oid_text(id), ")"));
    }
  }
  if ((X509_get_extension_flags(&c) & EXFLAG_INVALID) != 0) {
    return malformed("has a malformed extension");
  }
  return {};
}

bool has_control_bytes(std::string_view text) noexcept {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return true;
  }
  return false;
}

// Of "good.shop\0.evil" readers of C strings see less than was signed.
MaybeFault fault_of_subject(const x509_st& c) {
  const X509_NAME* subject = X509_get_subject_name(&c);
  for (int i = 0; i < X509_NAME_entry_count(subject); ++i) {
    const ASN1_STRING* value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i));
    uint8_t* utf8 = nullptr;
    const int size = ASN1_STRING_to_UTF8(&utf8, value);
    if (size < 0) return malformed("has a subject that cannot be read");
    const bool is_bad =
        has_control_bytes({reinterpret_cast<const char*>(utf8), static_cast<size_t>(size)});
    OPENSSL_free(utf8);
    if (is_bad) return malformed("has NUL or another control byte in its subject");
  }
  return {};
}

// The text of a name that is compared as text.
std::optional<std::string_view> text_of(const GENERAL_NAME& name) {
  switch (name.type) {
    case GEN_URI:
      return view(name.d.uniformResourceIdentifier);
    case GEN_DNS:
      return view(name.d.dNSName);
    case GEN_EMAIL:
      return view(name.d.rfc822Name);
    default:
      return {};
  }
}

MaybeFault fault_of_names(const x509_st& c) {
  int status = 0;
  bssl::UniquePtr<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&c, NID_subject_alt_name, &status, nullptr)));
  if (names == nullptr) {
    if (status == -1) return {};  // none
    return malformed("has subject alternative names that cannot be read");
  }
  if (sk_GENERAL_NAME_num(names.get()) == 0) {
    return malformed("has an empty list of subject alternative names");
  }
  for (const GENERAL_NAME* name : names.get()) {
    if (name->type == GEN_IPADD) {
      const int size = ASN1_STRING_length(name->d.iPAddress);
      if (size != 4 && size != 16) return malformed(str("has an IP SAN of ", size, " bytes"));
    }
    const auto text = text_of(*name);
    if (!text) continue;
    if (text->empty()) return malformed("has an empty SAN");
    if (has_control_bytes(*text)) return malformed("has NUL or another control byte in a SAN");
  }
  return {};
}

MaybeFault fault_of_key(const x509_st& c) {
  const EVP_PKEY* key = X509_get0_pubkey(&c);
  if (key == nullptr) return unsupported("has a key of an unsupported type");
  switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_RSA:
      if (const int bits = EVP_PKEY_bits(key); bits < kMinRsaBits || bits > kMaxRsaBits) {
        return unsupported(
            str("has an RSA key of ", bits, " bits, expected ", kMinRsaBits, " to ", kMaxRsaBits));
      }
      return {};
    case EVP_PKEY_EC: {
      const int curve = EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)));
      if (curve == NID_X9_62_prime256v1 || curve == NID_secp384r1 || curve == NID_secp521r1) {
        return {};
      }
      return unsupported(
          str("has a key on the curve ", OBJ_nid2sn(curve), ", expected P-256, P-384 or P-521"));
    }
    case EVP_PKEY_ED25519:
      return {};
    default:
      return unsupported("has a key of an unsupported type");
  }
}

MaybeFault fault_of_signature(const x509_st& c) {
  switch (const int algorithm = X509_get_signature_nid(&c)) {
    case NID_sha256WithRSAEncryption:
    case NID_sha384WithRSAEncryption:
    case NID_sha512WithRSAEncryption:
    case NID_rsassaPss:  // the library takes SHA-256 and longer only
    case NID_ecdsa_with_SHA256:
    case NID_ecdsa_with_SHA384:
    case NID_ecdsa_with_SHA512:
    case NID_ED25519:
      return {};
    default: {
      const char* name = algorithm == NID_undef ? nullptr : OBJ_nid2sn(algorithm);
      return unsupported(str("is signed with an algorithm that is not accepted (",
                             name == nullptr ? "unknown" : name, ")"));
    }
  }
}

bool claims_a_spiffe_id(const x509_st& leaf) {
  for (const San& san : subject_alt_names(leaf)) {
    if (san.type == SanType::kUri && claims_to_be_spiffe(san.text)) return true;
  }
  return false;
}

// X509-SVID, sections 2 to 4: one URI, which is a SPIFFE id, and no authority.
MaybeFault fault_of_svid(const x509_st& leaf) {
  if (auto domain = trust_domain_of_leaf(leaf); !domain) return domain.error();
  const uint32_t flags = X509_get_extension_flags(&leaf);
  if ((flags & EXFLAG_CA) != 0) return unsupported("is of a CA, which no workload may use");
  constexpr uint32_t kSigning = X509v3_KU_KEY_CERT_SIGN | X509v3_KU_CRL_SIGN;
  if ((flags & EXFLAG_KUSAGE) != 0 && (X509_get_key_usage(&leaf) & kSigning) != 0) {
    return unsupported("has a key usage of a CA, which no workload may use");
  }
  return {};
}

}  // namespace

std::optional<Fault> fault_of_form(const x509_st& c, bool is_trusted) {
  if (const long version = X509_get_version(&c); version != X509_VERSION_3 && !is_trusted) {
    return malformed(str("is of X.509 version ", version + 1, ", expected 3"));
  }
  for (const auto check : {fault_of_serial, fault_of_dates, fault_of_extensions, fault_of_subject,
                           fault_of_names, fault_of_key}) {
    if (MaybeFault fault = check(c)) return fault;
  }
  return is_trusted ? std::nullopt : fault_of_signature(c);
}

Result<std::string, Fault> trust_domain_of_leaf(const x509_st& leaf) {
  std::string id;
  size_t uris = 0;
  for (San& san : subject_alt_names(leaf)) {
    if (san.type == SanType::kUri && ++uris == 1) id = std::move(san.text);
  }
  if (uris == 0) return Error{malformed("has no SPIFFE id (no URI SAN)")};
  if (uris > 1) {
    return Error{malformed(str("has ", uris, " URI SANs, a SPIFFE id must be the only one"))};
  }
  auto domain = trust_domain_of(id);
  if (!domain) return Error{malformed(str("has no valid SPIFFE id: ", domain.error()))};
  return std::move(*domain);
}

std::optional<Fault> fault_of_leaf(const x509_st& leaf, Role ours, bool is_trusted,
                                   bool needs_spiffe_id) {
  const bool is_client = ours == Role::kServer;
  // The library does not ask this of a certificate that is trusted itself.
  if (X509_check_purpose(&leaf, is_client ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER,
                         /*ca=*/0) != 1) {
    return unsupported(str("may not be used as a TLS ", is_client ? "client" : "server",
                           " (key usage or extended key usage)"));
  }
  // A client always signs.  What a server must do depends on the cipher suite: the library's check.
  if (is_client && (X509_get_key_usage(&leaf) & X509v3_KU_DIGITAL_SIGNATURE) == 0) {
    return unsupported("may not sign (key usage without digitalSignature)");
  }
  if (!is_trusted && (X509_get_extension_flags(&leaf) & EXFLAG_CA) != 0) {
    return unsupported("is of a CA, and not one of the trusted certificates");
  }
  return needs_spiffe_id || claims_a_spiffe_id(leaf) ? fault_of_svid(leaf) : std::nullopt;
}

}  // namespace pillion::tls
