#include "proxy/tls/context_config.h"

#include <openssl/ssl.h>

#include <utility>

#include "proxy/base/str.h"
#include "proxy/config/config_source.h"
#include "proxy/tls/ocsp.h"
#include "proxy/tls/pem.h"
#include "proxy/tls/secret.h"
#include "proxy/tls/ticket_keyring.h"
#include "proxy/tls/validation_config.h"

namespace pillion::tls {
namespace {

using config::EnumRow;
using config::Node;
using config::Unknown;

constexpr std::string_view kLater = "comes with a later version";

// TLS security hangs on every field: an unknown one is an error whatever the policy says.
void close(const Node& node) { node.reject_unknown_keys(Unknown::kAlwaysError); }
void refuse(const Node& node, std::initializer_list<std::string_view> keys,
            std::string_view why = kLater) {
  node.unsupported(keys, why, Unknown::kAlwaysError);
}
void refuse_true(const Node& node, std::string_view key, std::string_view why) {
  if (node[key].as_bool_or(false)) node[key].error(std::string(why));
}

constexpr EnumRow kVersions[] = {
    {"TLS_AUTO", 0},
    {"TLSv1_0", 1, "TLS 1.0 is broken; TLSv1_2 is the least"},
    {"TLSv1_1", 2, "TLS 1.1 is broken; TLSv1_2 is the least"},
    {"TLSv1_2", 3},
    {"TLSv1_3", 4},
};

std::optional<Version> parse_version(const Node& node) {
  switch (node.as_enum_or<int>(0, kVersions)) {
    case 3:
      return Version::kTls12;
    case 4:
      return Version::kTls13;
    default:
      return std::nullopt;
  }
}

std::vector<std::string> parse_names(const Node& list) {
  std::vector<std::string> names;
  for (const Node name : list.items()) names.push_back(name.as_string());
  return names;
}

void parse_parameters(const Node& node, ContextConfig& out) {
  const auto min = parse_version(node["tls_minimum_protocol_version"]);
  const auto max = parse_version(node["tls_maximum_protocol_version"]);
  out.max_version = max.value_or(Version::kTls13);
  out.min_version = min.value_or(out.max_version);
  if (out.min_version > out.max_version) {
    node["tls_minimum_protocol_version"].error("above tls_maximum_protocol_version");
  }
  out.cipher_suites = parse_names(node["cipher_suites"]);
  out.groups = parse_names(node["ecdh_curves"]);
  out.signature_algorithms = parse_names(node["signature_algorithms"]);
  refuse(node, {"compliance_policies"});
  close(node);
}

// The names of ciphers and groups are BoringSSL's to judge.
void check_parameters(const Node& node, const ContextConfig& config) {
  bssl::UniquePtr<SSL_CTX> ctx(SSL_CTX_new(TLS_with_buffers_method()));
  const auto check = [&](std::string_view key, const std::vector<std::string>& names, auto&& set) {
    for (size_t i = 0; const Node name : node[key].items()) {
      const std::string& text = names[i++];
      if (!text.empty() && !set(ctx.get(), text.c_str()))
        name.expected(str("a name that BoringSSL knows"));
    }
  };
  // A group of equal preference, "[A|B]", is one entry.
  check("cipher_suites", config.cipher_suites, SSL_CTX_set_strict_cipher_list);
  check("ecdh_curves", config.groups, SSL_CTX_set1_groups_list);
  check("signature_algorithms", config.signature_algorithms, SSL_CTX_set1_sigalgs_list);
}

}  // namespace

Status<> check_ocsp_policy(const CertificateConfig& certificate, OcspPolicy policy) {
  if (!certificate.ocsp_staple.empty()) return Ok{};
  if (policy == OcspPolicy::kMust) {
    return Error{
        str(certificate.source, " has no ocsp_staple, and ocsp_staple_policy is MUST_STAPLE")};
  }
  if (must_be_stapled(certificate.chain_pem))
    return Error{str(certificate.source, " demands an ocsp_staple (TLS feature), and has none")};
  return Ok{};
}

CertificateConfig parse_certificate(const Node& node, FileUse files) {
  CertificateConfig out;
  const size_t errors_before = node.errors()->error_count();
  const Node chain = node.required("certificate_chain");
  const Node key = node.required("private_key");
  DataText chain_text = read_data_source(chain, files);
  DataText key_text = read_data_source(key, files);
  out.chain_pem = std::move(chain_text.text);
  out.source = std::move(chain_text.source);
  out.key_pem = std::move(key_text.text);
  config::check_watched_directory(node["watched_directory"]);
  const Node staple = node["ocsp_staple"];
  DataText staple_text = read_data_source(staple, files);
  out.ocsp_staple = std::move(staple_text.text);
  refuse(node, {"pkcs12", "tls_params", "password", "private_key_provider",
                "signed_certificate_timestamp"});
  close(node);
  if (out.chain_pem.empty() || out.key_pem.empty()) return out;
  if (const auto ok = parse_certificates(out.chain_pem); !ok) {
    chain.error(str(out.source, ": ", ok.error()));
  } else if (const auto ok_key = parse_private_key(out.key_pem); !ok_key) {
    key.error(str(key_text.source, ": ", ok_key.error()));
  } else if (const auto same = check_key_matches(*ok->front(), **ok_key); !same) {
    key.error(str(key_text.source, ": ", same.error(), " (", out.source, ")"));
  }
  if (!out.ocsp_staple.empty() && node.errors()->error_count() == errors_before) {
    if (const auto ok = check_staple(out.ocsp_staple, out.chain_pem); !ok)
      staple.error(str(staple_text.source, ": ", ok.error()));
  }
  if (node.errors()->error_count() != errors_before) {
    note_file(chain);
    note_file(key);
    note_file(staple);
  }
  return out;
}

namespace {

KeyLogConfig parse_key_log(const Node& node) {
  KeyLogConfig out;
  out.path = node.required("path").as_string();
  for (const Node range : node["local_address_range"].items())
    out.local_ranges.push_back(match::parse_cidr(range));
  for (const Node range : node["remote_address_range"].items())
    out.remote_ranges.push_back(match::parse_cidr(range));
  close(node);
  return out;
}

std::string file_of(const Node& source) { return source["filename"].as_string_or(""); }

// A certificate of files is followed from now on; other texts are read for good, and with an OCSP
// response among them, which is about this one certificate, so is the rest.
void parse_own_certificate(const Node& item, ContextConfig& out, SecretRefs* secrets) {
  const bool is_followed = secrets != nullptr && item["certificate_chain"].has("filename") &&
                           item["private_key"].has("filename") &&
                           (!item.has("ocsp_staple") || item["ocsp_staple"].has("filename"));
  CertificateConfig certificate =
      parse_certificate(item, is_followed ? FileUse::kFollowed : FileUse::kPart);
  if (certificate.chain_pem.empty() || certificate.key_pem.empty()) {
    out.lacks_certificate = true;
  } else if (is_followed) {
    SecretSource::Files files{file_of(item["certificate_chain"]),
                              file_of(item["private_key"]),
                              {},
                              {},
                              file_of(item["ocsp_staple"])};
    secrets->certificates.push_back(
        make_files_ref(std::move(files), SecretKind::kCertificate,
                       std::make_shared<const Secret>(std::move(certificate))));
  } else {
    out.certificates.push_back(std::move(certificate));
  }
}

// Likewise the trusted CAs and revocation lists.
ValidationConfig parse_own_validation(const Node& node, SecretRefs* secrets) {
  const Node instance = node["ca_certificate_provider_instance"];
  if (instance.is_present() && secrets != nullptr) {
    secrets->validation = parse_provider_ref(instance, SecretKind::kValidation, "ALL");
    if (node.has("trusted_ca")) instance.error("give trusted_ca or a provider of CAs, not both");
    return parse_validation(node, FileUse::kPart, Completeness::kPart);
  }
  const bool is_followed = secrets != nullptr && node["trusted_ca"].has("filename") &&
                           (!node.has("crl") || node["crl"].has("filename"));
  ValidationConfig out = parse_validation(node, is_followed ? FileUse::kFollowed : FileUse::kPart,
                                          Completeness::kWhole);
  if (!is_followed || out.trusted_ca_pem.empty()) return out;
  ValidationConfig texts;
  texts.trusted_ca_pem = std::exchange(out.trusted_ca_pem, {});
  texts.trusted_ca_source = std::exchange(out.trusted_ca_source, {});
  texts.crl_pem = std::exchange(out.crl_pem, {});
  SecretSource::Files files{{}, {}, file_of(node["trusted_ca"]), file_of(node["crl"])};
  secrets->validation = make_files_ref(std::move(files), SecretKind::kValidation,
                                       std::make_shared<const Secret>(std::move(texts)));
  return out;
}

void parse_combined(const Node& node, ContextConfig& out, SecretRefs& secrets) {
  if (const Node base = node["default_validation_context"]) {
    refuse(base, {"ca_certificate_provider_instance"}, "the secret has the CAs");
    out.validation = parse_validation(base, FileUse::kPart, Completeness::kPart);
  }
  secrets.validation = parse_secret_ref(node.required("validation_context_sds_secret_config"),
                                        SecretKind::kValidation);
  refuse(node, {"validation_context_certificate_provider",
                "validation_context_certificate_provider_instance"});
  close(node);
}

// What comes from elsewhere, by name.
void parse_secret_refs(const Node& node, ContextConfig& out, SecretRefs* secrets) {
  if (secrets == nullptr)
    return refuse(node, {"tls_certificate_sds_secret_configs", "tls_certificate_provider_instance",
                         "validation_context_sds_secret_config", "combined_validation_context"});
  for (const Node item : node["tls_certificate_sds_secret_configs"].items()) {
    if (auto ref = parse_secret_ref(item, SecretKind::kCertificate))
      secrets->certificates.push_back(std::move(*ref));
  }
  if (auto ref = parse_provider_ref(node["tls_certificate_provider_instance"],
                                    SecretKind::kCertificate, "default"))
    secrets->certificates.push_back(std::move(*ref));
  (void)node.one_of(
      {"validation_context", "validation_context_sds_secret_config", "combined_validation_context"},
      config::Need::kAtMostOne);
  if (const Node one = node["validation_context_sds_secret_config"])
    secrets->validation = parse_secret_ref(one, SecretKind::kValidation);
  if (const Node combined = node["combined_validation_context"])
    parse_combined(combined, out, *secrets);
}

void parse_common(const Node& node, ContextConfig& out, SecretRefs* secrets) {
  if (const Node parameters = node["tls_params"]) {
    parse_parameters(parameters, out);
    check_parameters(parameters, out);
  }
  for (const Node item : node["tls_certificates"].items())
    parse_own_certificate(item, out, secrets);
  if (const Node validation = node["validation_context"])
    out.validation = parse_own_validation(validation, secrets);
  parse_secret_refs(node, out, secrets);
  if (const Node key_log = node["key_log"]) out.key_log = parse_key_log(key_log);
  for (const Node item : node["alpn_protocols"].items()) {
    out.alpn.push_back(item.as_string());
    if (out.alpn.back().size() > 255) item.expected("a protocol name of 1-255 bytes");
  }
  refuse(node,
         {"tls_certificate_certificate_provider", "tls_certificate_certificate_provider_instance",
          "validation_context_certificate_provider",
          "validation_context_certificate_provider_instance", "custom_handshaker",
          "custom_tls_certificate_selector"});
  close(node);
}

// As it was meant: trusted CAs that could not be read are an error of their own.
bool verifies_anything(const Node& common, const ContextConfig& config) {
  const auto& v = config.validation;
  // What comes by a secret must verify something, or is not used (ContextSlot::resolve).
  if (common.has("validation_context_sds_secret_config") ||
      common.has("combined_validation_context"))
    return true;
  return common["validation_context"]["trusted_ca"].is_present() ||
         common["validation_context"].has("custom_validator_config") ||
         common["validation_context"].has("ca_certificate_provider_instance") ||
         (v && (!v->certificate_hashes.empty() || !v->spki_hashes.empty()));
}

// A certificate that no client would ever get to see.  Those that come later are held to it when
// they come (ContextSlot::accepts).
void check_policy(const Node& node, const ContextConfig& config,
                  const CertificateConfig& certificate) {
  if (const auto ok = check_ocsp_policy(certificate, config.ocsp_policy); !ok) {
    const Node policy = node["ocsp_staple_policy"];
    (config.ocsp_policy == OcspPolicy::kMust ? policy : node).error(ok.error());
  }
}

std::chrono::seconds parse_session_timeout(const Node& node) {
  const auto timeout =
      std::chrono::duration_cast<std::chrono::seconds>(node.as_duration_or(kDefaultSessionTimeout));
  if (timeout <= kMaxSessionTimeout) return timeout;
  node.warn("sessions end after 7 days (RFC 8446, 4.6.1)");
  return kMaxSessionTimeout;
}

// Which sessions are resumed.  There is no cache of sessions that
// disable_stateful_session_resumption could disable.
void parse_resumption(const Node& node, ContextConfig& out, SecretRefs* secrets) {
  (void)node.one_of({"session_ticket_keys", "session_ticket_keys_sds_secret_config",
                     "disable_stateless_session_resumption"},
                    config::Need::kAtMostOne);
  node.ignore({"disable_stateful_session_resumption"});
  out.session_timeout = parse_session_timeout(node["session_timeout"]);
  out.resumes_sessions = !node["disable_stateless_session_resumption"].as_bool_or(false) &&
                         out.session_timeout.count() > 0;
  if (const Node keys = node["session_ticket_keys"]) {
    const TicketKeys given = parse_ticket_keys(keys);
    if (!given.keys.empty()) out.ticket_keyring = TicketKeyring::given(given);
  }
  if (const Node keys = node["session_ticket_keys_sds_secret_config"]) {
    if (secrets == nullptr) {
      refuse(node, {"session_ticket_keys_sds_secret_config"});
    } else {
      secrets->ticket_keys = parse_secret_ref(keys, SecretKind::kTicketKeys);
    }
  }
}

}  // namespace

ContextConfig parse_downstream_tls_context(const Node& node, SecretRefs* secrets) {
  ContextConfig out;
  out.role = Role::kServer;
  const Node common = node.required("common_tls_context");
  if (common) {
    parse_common(common, out, secrets);
    const bool has_secret = secrets != nullptr && !secrets->certificates.empty();
    if (out.certificates.empty() && !out.lacks_certificate && !has_secret &&
        !common.has("tls_certificate_sds_secret_configs")) {
      common.error("tls_certificates: expected at least one certificate");
    }
  }
  out.require_client_certificate = node["require_client_certificate"].as_bool_or(false);
  out.require_sni = node["require_sni"].as_bool_or(false);
  if (out.require_client_certificate && common && !verifies_anything(common, out)) {
    node["require_client_certificate"].warn(
        "client certificates are asked for, but not verified "
        "(common_tls_context.validation_context is missing)");
  }
  // A name that no certificate has is answered with the first certificate that the client can use,
  // all of them being looked at.
  node.ignore({"full_scan_certs_on_sni_mismatch"});
  parse_resumption(node, out, secrets);
  refuse_true(node, "prefer_client_ciphers", "the server's order of cipher suites is always used");
  constexpr EnumRow kStapling[] = {
      {"LENIENT_STAPLING", 0}, {"STRICT_STAPLING", 1}, {"MUST_STAPLE", 2}};
  out.ocsp_policy = node["ocsp_staple_policy"].as_enum_or(OcspPolicy::kLenient, kStapling);
  if (secrets != nullptr) {
    for (const SecretRef& ref : secrets->certificates) {
      if (ref.initial != nullptr)
        check_policy(node, out, std::get<CertificateConfig>(ref.initial->value));
    }
  }
  for (const CertificateConfig& certificate : out.certificates)
    check_policy(node, out, certificate);
  close(node);
  return out;
}

ContextConfig parse_upstream_tls_context(const Node& node, SecretRefs* secrets) {
  ContextConfig out;
  out.role = Role::kClient;
  const Node common = node["common_tls_context"];
  if (common) parse_common(common, out, secrets);
  out.sni = node["sni"].as_string_or("");
  if (out.sni.size() > 255) node["sni"].expected("a host name of at most 255 bytes");
  out.auto_host_sni = node["auto_host_sni"].as_bool_or(false);
  out.auto_sni_san_validation = node["auto_sni_san_validation"].as_bool_or(false);
  // Anybody may write a name into a certificate of his own.
  if (out.auto_sni_san_validation && !verifies_anything(common, out)) {
    node["auto_sni_san_validation"].error(
        "needs trusted_ca in common_tls_context.validation_context");
  }
  refuse_true(node, "allow_renegotiation", "renegotiation is never accepted");
  out.max_session_keys = node["max_session_keys"].as_u32_or(1, 0, UINT32_MAX);
  // The key usage of RSA certificates is always enforced.
  node.ignore({"enforce_rsa_key_usage"});
  close(node);
  return out;
}

}  // namespace pillion::tls
