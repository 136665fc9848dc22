#include "proxy/tls/context_config.h"

#include <openssl/ssl.h>

#include "proxy/base/str.h"
#include "proxy/tls/data_source.h"
#include "proxy/tls/ocsp.h"
#include "proxy/tls/pem.h"
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

void check_staple(const Node& node, const CertificateConfig& certificate) {
  if (certificate.ocsp_staple.empty()) return;
  const auto chain = parse_certificates(certificate.chain_pem);
  if (!chain) return;  // reported
  const auto staple = parse_ocsp_response(certificate.ocsp_staple, *chain->front());
  if (!staple) node.error(staple.error());
}

CertificateConfig parse_certificate(const Node& node) {
  CertificateConfig out;
  const Node chain = node.required("certificate_chain");
  const Node key = node.required("private_key");
  DataText chain_text = read_data_source(chain);
  const DataText key_text = read_data_source(key);
  out.chain_pem = std::move(chain_text.text);
  out.source = std::move(chain_text.source);
  out.key_pem = key_text.text;
  out.ocsp_staple = read_data_source(node["ocsp_staple"]).text;
  refuse(node, {"pkcs12", "tls_params", "watched_directory", "password", "private_key_provider",
                "signed_certificate_timestamp"});
  close(node);
  if (out.chain_pem.empty() || out.key_pem.empty()) return out;
  if (const auto ok = parse_certificates(out.chain_pem); !ok) {
    chain.error(str(out.source, ": ", ok.error()));
  } else if (const auto ok_key = parse_private_key(out.key_pem); !ok_key) {
    key.error(str(key_text.source, ": ", ok_key.error()));
  } else if (const auto same = check_key_matches(out.chain_pem, out.key_pem); !same) {
    key.error(str(key_text.source, ": ", same.error(), " (", out.source, ")"));
  }
  check_staple(node["ocsp_staple"], out);
  return out;
}

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

void parse_common(const Node& node, ContextConfig& out) {
  if (const Node parameters = node["tls_params"]) {
    parse_parameters(parameters, out);
    check_parameters(parameters, out);
  }
  for (const Node item : node["tls_certificates"].items()) {
    CertificateConfig certificate = parse_certificate(item);
    if (certificate.chain_pem.empty() || certificate.key_pem.empty()) {
      out.lacks_certificate = true;
    } else {
      out.certificates.push_back(std::move(certificate));
    }
  }
  if (const Node validation = node["validation_context"]) {
    out.validation = parse_validation(validation);
  }
  if (const Node key_log = node["key_log"]) out.key_log = parse_key_log(key_log);
  for (const Node item : node["alpn_protocols"].items()) {
    out.alpn.push_back(item.as_string());
    if (out.alpn.back().size() > 255) item.expected("a protocol name of 1-255 bytes");
  }
  refuse(node,
         {"tls_certificate_sds_secret_configs", "validation_context_sds_secret_config",
          "combined_validation_context", "tls_certificate_provider_instance",
          "tls_certificate_certificate_provider", "tls_certificate_certificate_provider_instance",
          "validation_context_certificate_provider",
          "validation_context_certificate_provider_instance", "custom_handshaker",
          "custom_tls_certificate_selector"});
  close(node);
}

// As it was meant: trusted CAs that could not be read are an error of their own.
bool verifies_anything(const Node& common, const ContextConfig& config) {
  const auto& v = config.validation;
  const Node validation = common["validation_context"];
  return validation["trusted_ca"].is_present() ||
         validation["custom_validator_config"].is_present() ||
         (v && (!v->certificate_hashes.empty() || !v->spki_hashes.empty()));
}

// A certificate that no client would ever get to see.
void check_policy(const Node& node, const ContextConfig& config,
                  const CertificateConfig& certificate) {
  if (!certificate.ocsp_staple.empty()) return;
  if (config.ocsp_policy == OcspPolicy::kMust) {
    node["ocsp_staple_policy"].error(str(certificate.source, " has no ocsp_staple"));
  }
  const auto chain = parse_certificates(certificate.chain_pem);
  if (chain && must_be_stapled(*chain->front())) {
    node.error(str(certificate.source, " demands an ocsp_staple (TLS feature), and has none"));
  }
}

}  // namespace

ContextConfig parse_downstream_tls_context(const Node& node) {
  ContextConfig out;
  out.role = Role::kServer;
  const Node common = node.required("common_tls_context");
  if (common) {
    parse_common(common, out);
    if (out.certificates.empty() && !out.lacks_certificate &&
        !common.has("tls_certificate_sds_secret_configs")) {
      common.error("tls_certificates: expected at least one certificate");
    }
  }
  out.require_client_certificate = node["require_client_certificate"].as_bool_or(false);
  out.require_sni = node["require_sni"].as_bool_or(false);
  if (out.require_client_certificate && common && !verifies_anything(common, out) &&
      !common.has("validation_context_sds_secret_config") &&
      !common.has("combined_validation_context")) {
    node["require_client_certificate"].warn(
        "client certificates are asked for, but not verified "
        "(common_tls_context.validation_context is missing)");
  }
  // Sessions are never resumed: these tune what does not happen.  A name that no certificate has
  // is answered with the first certificate that the client can use, all of them being looked at.
  node.ignore({"disable_stateless_session_resumption", "disable_stateful_session_resumption",
               "session_timeout", "full_scan_certs_on_sni_mismatch"});
  refuse_true(node, "prefer_client_ciphers", "the server's order of cipher suites is always used");
  constexpr EnumRow kStapling[] = {
      {"LENIENT_STAPLING", 0}, {"STRICT_STAPLING", 1}, {"MUST_STAPLE", 2}};
  out.ocsp_policy = node["ocsp_staple_policy"].as_enum_or(OcspPolicy::kLenient, kStapling);
  for (const CertificateConfig& certificate : out.certificates)
    check_policy(node, out, certificate);
  refuse(node, {"session_ticket_keys", "session_ticket_keys_sds_secret_config"});
  close(node);
  return out;
}

ContextConfig parse_upstream_tls_context(const Node& node) {
  ContextConfig out;
  out.role = Role::kClient;
  const Node common = node.required("common_tls_context");
  if (common) parse_common(common, out);
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
  // Sessions are not resumed, and the key usage of RSA certificates is always enforced.
  node.ignore({"max_session_keys", "enforce_rsa_key_usage"});
  close(node);
  return out;
}

}  // namespace pillion::tls
