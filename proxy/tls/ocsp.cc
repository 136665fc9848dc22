#include "proxy/tls/ocsp.h"

#include <openssl/asn1.h>
#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509.h>

#include <cstring>

#include "proxy/base/str.h"
#include "proxy/tls/pem.h"
#include "proxy/tls/x509_info.h"

namespace pillion::tls {
namespace {

constexpr CBS_ASN1_TAG explicit_tag(unsigned n) {
  return CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | n;
}
constexpr uint8_t kBasicResponse[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01};
// id-pe-tlsfeature; one of its numbers is status_request, 5.
constexpr char kTlsFeature[] = "1.3.6.1.5.5.7.1.24";

const Error<std::string> kMalformed{std::string("no OCSP response in DER")};

bool read_time(CBS* from, int64_t& out) {
  CBS text;
  if (!CBS_get_asn1(from, &text, CBS_ASN1_GENERALIZEDTIME)) return false;
  bssl::UniquePtr<ASN1_GENERALIZEDTIME> time(ASN1_GENERALIZEDTIME_new());
  return time &&
         ASN1_STRING_set(time.get(), CBS_data(&text), static_cast<ossl_ssize_t>(CBS_len(&text))) ==
             1 &&
         ASN1_TIME_to_posix(time.get(), &out) == 1;
}

// The hash algorithm of a CertID, null if unknown.
const EVP_MD* read_hash(CBS* from) {
  CBS algorithm;
  CBS id;
  if (!CBS_get_asn1(from, &algorithm, CBS_ASN1_SEQUENCE) ||
      !CBS_get_asn1(&algorithm, &id, CBS_ASN1_OBJECT)) {
    return nullptr;
  }
  return EVP_get_digestbynid(OBJ_cbs2nid(&id));
}

// CertID: hash algorithm, hashes of the issuer's name and key, serial number.
bool is_about(CBS* cert_id, const x509_st& leaf) {
  const EVP_MD* hash = read_hash(cert_id);
  CBS name_hash;
  CBS key_hash;
  CBS serial;
  if (hash == nullptr || !CBS_get_asn1(cert_id, &name_hash, CBS_ASN1_OCTETSTRING) ||
      !CBS_get_asn1(cert_id, &key_hash, CBS_ASN1_OCTETSTRING) ||
      !CBS_get_asn1(cert_id, &serial, CBS_ASN1_INTEGER)) {
    return false;
  }
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (!X509_NAME_digest(X509_get_issuer_name(&leaf), hash, digest, &size) ||
      !CBS_mem_equal(&name_hash, digest, size)) {
    return false;
  }
  uint8_t* der = nullptr;
  const int der_size = i2d_ASN1_INTEGER(X509_get0_serialNumber(&leaf), &der);
  if (der_size <= 0) return false;
  CBS own;
  CBS own_serial;
  CBS_init(&own, der, static_cast<size_t>(der_size));
  const bool same = CBS_get_asn1(&own, &own_serial, CBS_ASN1_INTEGER) &&
                    CBS_mem_equal(&serial, CBS_data(&own_serial), CBS_len(&own_serial));
  OPENSSL_free(der);
  return same;
}

// OCSPResponse -> the list of SingleResponses.
Status<> find_responses(CBS* from, CBS* responses) {
  CBS response;
  CBS status;
  CBS wrapper;
  CBS bytes;
  CBS type;
  CBS basic_der;
  if (!CBS_get_asn1(from, &response, CBS_ASN1_SEQUENCE) || CBS_len(from) != 0 ||
      !CBS_get_asn1(&response, &status, CBS_ASN1_ENUMERATED) || CBS_len(&status) != 1) {
    return kMalformed;
  }
  if (const int code = CBS_data(&status)[0]; code != 0) {
    return Error{str("the OCSP responder did not answer (status ", code, ')')};
  }
  CBS basic;
  CBS data;
  if (!CBS_get_asn1(&response, &wrapper, explicit_tag(0)) ||
      !CBS_get_asn1(&wrapper, &bytes, CBS_ASN1_SEQUENCE) ||
      !CBS_get_asn1(&bytes, &type, CBS_ASN1_OBJECT) ||
      !CBS_mem_equal(&type, kBasicResponse, sizeof kBasicResponse) ||
      !CBS_get_asn1(&bytes, &basic_der, CBS_ASN1_OCTETSTRING) ||
      !CBS_get_asn1(&basic_der, &basic, CBS_ASN1_SEQUENCE) ||
      !CBS_get_asn1(&basic, &data, CBS_ASN1_SEQUENCE)) {
    return kMalformed;
  }
  // version [0], responderID [1] or [2], producedAt.
  CBS ignored;
  if (!CBS_get_optional_asn1(&data, &ignored, nullptr, explicit_tag(0)) ||
      !CBS_get_any_asn1(&data, &ignored, nullptr) ||
      !CBS_get_asn1(&data, &ignored, CBS_ASN1_GENERALIZEDTIME) ||
      !CBS_get_asn1(&data, responses, CBS_ASN1_SEQUENCE)) {
    return kMalformed;
  }
  return Ok{};
}

}  // namespace

Result<OcspStaple> parse_ocsp_response(std::string_view der, const x509_st& leaf) {
  CBS in;
  CBS responses;
  CBS_init(&in, reinterpret_cast<const uint8_t*>(der.data()), der.size());
  if (auto ok = find_responses(&in, &responses); !ok) return Error{ok.error()};
  CBS single;
  CBS cert_id;
  if (!CBS_get_asn1(&responses, &single, CBS_ASN1_SEQUENCE) ||
      !CBS_get_asn1(&single, &cert_id, CBS_ASN1_SEQUENCE)) {
    return kMalformed;
  }
  if (CBS_len(&responses) != 0)
    return Error{"the OCSP response is about more than one certificate"};
  if (!is_about(&cert_id, leaf)) {
    ERR_clear_error();
    return Error{"the OCSP response is about another certificate"};
  }
  // certStatus: good [0], revoked [1], unknown [2].
  CBS certificate_status;
  CBS_ASN1_TAG tag = 0;
  OcspStaple out;
  if (!CBS_get_any_asn1(&single, &certificate_status, &tag) || !read_time(&single, out.this_update))
    return kMalformed;
  if (tag != (CBS_ASN1_CONTEXT_SPECIFIC | 0)) {
    return Error{str("the OCSP response says that the certificate ",
                     tag == explicit_tag(1) ? "was revoked" : "is unknown")};
  }
  CBS next;
  int has_next = 0;
  if (!CBS_get_optional_asn1(&single, &next, &has_next, explicit_tag(0))) return kMalformed;
  if (has_next == 0)
    return Error{"the OCSP response does not say how long it is good (nextUpdate)"};
  if (!read_time(&next, out.next_update)) return kMalformed;
  out.der = der;
  return out;
}

Status<> check_staple(std::string_view der, std::string_view chain_pem) {
  const auto chain = parse_certificates(chain_pem);
  if (!chain) return Error{chain.error()};
  if (const auto staple = parse_ocsp_response(der, *chain->front()); !staple)
    return Error{staple.error()};
  return Ok{};
}

bool must_be_stapled(std::string_view chain_pem) {
  const auto chain = parse_certificates(chain_pem);
  return chain && must_be_stapled(*chain->front());
}

bool must_be_stapled(const x509_st& leaf) {
  bssl::UniquePtr<ASN1_OBJECT> id(OBJ_txt2obj(kTlsFeature, /*dont_search_names=*/1));
  const int at = X509_get_ext_by_OBJ(&leaf, id.get(), -1);
  if (at < 0) return false;
  const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(X509_get_ext(&leaf, at));
  CBS in;
  CBS features;
  CBS_init(&in, ASN1_STRING_get0_data(value), static_cast<size_t>(ASN1_STRING_length(value)));
  if (!CBS_get_asn1(&in, &features, CBS_ASN1_SEQUENCE)) return false;
  constexpr uint64_t kStatusRequest = 5;
  for (uint64_t number = 0; CBS_get_asn1_uint64(&features, &number);) {
    if (number == kStatusRequest) return true;
  }
  ERR_clear_error();
  return false;
}

}  // namespace pillion::tls
