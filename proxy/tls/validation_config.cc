#include "proxy/tls/validation_config.h"

#include <openssl/base64.h>

#include <algorithm>
#include <unordered_set>

#include "proxy/base/ascii.h"
#include "proxy/base/json.h"
#include "proxy/base/str.h"
#include "proxy/config/config_source.h"
#include "proxy/config/suggest.h"
#include "proxy/tls/data_source.h"
#include "proxy/tls/pem.h"
#include "proxy/tls/spiffe_id.h"

namespace pillion::tls {
namespace {

using config::EnumRow;
using config::Node;
using config::Unknown;

// TLS security hangs on every field: an unknown one is an error whatever the policy says.
void close(const Node& node) { node.reject_unknown_keys(Unknown::kAlwaysError); }
void refuse(const Node& node, std::initializer_list<std::string_view> keys,
            std::string_view why = "comes with a later version") {
  node.unsupported(keys, why, Unknown::kAlwaysError);
}

constexpr EnumRow kSanTypes[] = {
    {"SAN_TYPE_UNSPECIFIED", 0, "choose EMAIL, DNS, URI or IP_ADDRESS"},
    {"EMAIL", 1},
    {"DNS", 2},
    {"URI", 3},
    {"IP_ADDRESS", 4},
    {"OTHER_NAME", 5, "no identity is made of one: use URI or DNS"},
};

SanType san_type_of(int number) {
  switch (number) {
    case 1:
      return SanType::kEmail;
    case 2:
      return SanType::kDns;
    case 4:
      return SanType::kIp;
    default:
      return SanType::kUri;
  }
}

// type.matcher.v3.StringMatcher.
SanMatcher parse_matcher(const Node& node, SanType type) {
  SanMatcher out;
  out.type = type;
  out.ignore_case = node["ignore_case"].as_bool_or(false);
  const Node how = node.one_of({"exact", "prefix", "suffix", "contains", "safe_regex", "custom"});
  refuse(node, {"custom"});
  close(node);
  if (how.key() == "safe_regex" || how.key() == "safeRegex") {
    out.kind = SanMatcher::Kind::kRegex;
    out.regex = match::parse_regex(how);
    return out;
  }
  out.text = how.as_string();  // never empty: it would match every name, or none
  if (how.key() == "prefix") out.kind = SanMatcher::Kind::kPrefix;
  if (how.key() == "suffix") out.kind = SanMatcher::Kind::kSuffix;
  if (how.key() == "contains") out.kind = SanMatcher::Kind::kContains;
  if (how.key() == "exact" && type == SanType::kIp) {
    std::string canonical = canonical_ip(out.text);
    if (canonical.empty()) how.expected("an IP address");
    out.text = std::move(canonical);
  }
  return out;
}

void parse_sans(const Node& node, ValidationConfig& out) {
  for (const Node item : node["match_typed_subject_alt_names"].items()) {
    const int type = item.required("san_type").as_enum_or<int>(3, kSanTypes);
    const Node matcher = item.required("matcher");
    if (matcher) out.sans.push_back(parse_matcher(matcher, san_type_of(type)));
    refuse(item, {"oid"});
    close(item);
  }
  // The older field: the name may be of any type.
  for (const Node item : node["match_subject_alt_names"].items()) {
    SanMatcher matcher = parse_matcher(item, SanType::kDns);
    for (const SanType type : {SanType::kDns, SanType::kUri, SanType::kEmail, SanType::kIp}) {
      matcher.type = type;
      out.sans.push_back(matcher);
    }
  }
}

// Hex, with or without colons (openssl x509 -fingerprint prints them).
bool parse_hex(std::string_view text, Sha256& out) {
  std::string digits;
  for (const char c : text) {
    if (c != ':') digits += c;
  }
  if (digits.size() != 2 * out.size()) return false;
  for (size_t i = 0; i < digits.size(); ++i) {
    const int value = hex_digit(digits[i]);
    if (value < 0) return false;
    out[i / 2] = static_cast<uint8_t>(i % 2 == 0 ? value << 4 : out[i / 2] | value);
  }
  return true;
}

bool parse_base64(std::string_view text, Sha256& out) {
  uint8_t raw[64];
  size_t size = 0;
  if (text.size() != 44 ||
      !EVP_DecodeBase64(raw, &size, sizeof raw, reinterpret_cast<const uint8_t*>(text.data()),
                        text.size())) {
    return false;
  }
  std::copy_n(raw, out.size(), out.begin());
  return size == out.size();
}

void parse_hashes(const Node& node, ValidationConfig& out) {
  for (const Node item : node["verify_certificate_hash"].items()) {
    Sha256 hash{};
    if (!parse_hex(item.as_string(), hash)) item.expected("a SHA-256 in hex");
    out.certificate_hashes.push_back(hash);
  }
  for (const Node item : node["verify_certificate_spki"].items()) {
    Sha256 hash{};
    if (!parse_base64(item.as_string(), hash)) item.expected("a SHA-256 in base64");
    out.spki_hashes.push_back(hash);
  }
}

constexpr EnumRow kTrust[] = {{"VERIFY_TRUST_CHAIN", 0}, {"ACCEPT_UNTRUSTED", 1}};

// `known`: the names of those before.
void add_trust_domain(const Node& node, std::string name, std::string pem,
                      std::unordered_set<std::string>& known, ValidationConfig& out) {
  if (const std::string why = trust_domain_error(name); !why.empty()) {
    return node.error(str("trust domain ", config::printable(name), ": ", why));
  }
  if (!known.insert(name).second) return node.error(str("a second bundle of ", name));
  if (const auto ok = parse_certificates(pem); !ok) return node.error(str(name, ": ", ok.error()));
  out.trust_domains.push_back({std::move(name), std::move(pem)});
}

// The base64 of one certificate's DER, as PEM.
std::string to_pem(std::string_view base64) {
  constexpr size_t kLine = 64;
  std::string pem = "-----BEGIN CERTIFICATE-----\n";
  for (; !base64.empty(); base64.remove_prefix(std::min(kLine, base64.size()))) {
    pem += str(base64.substr(0, kLine), '\n');
  }
  return pem + "-----END CERTIFICATE-----\n";
}

// SPIFFE bundles by trust domain, as JSON (SPIFFE Trust Domain and Bundle, section 4):
// {"trust_domains": {"mesh.local": {"keys": [{"use": "x509-svid", "x5c": ["..."]}]}}}.
void parse_bundle_map(const Node& node, std::string_view text,
                      std::unordered_set<std::string>& known, ValidationConfig& out) {
  const auto document = JsonDocument::parse(text, /*max_depth=*/16);
  if (!document) return node.error(str("no JSON: ", document.error()));
  for (const auto& [name, bundle] : document->root()["trust_domains"].entries()) {
    std::string pem;
    for (const Json key : bundle["keys"].items()) {
      if (key["use"].as_string() != "x509-svid") continue;  // others are for JWTs
      if (key["x5c"].size() != 1) {
        node.error(str(name, ": expected one certificate in x5c of each key"));
        continue;
      }
      pem += to_pem(key["x5c"].items().front().as_string());
    }
    add_trust_domain(node, std::string(name), std::move(pem), known, out);
  }
}

constexpr std::string_view kSpiffe =
    "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";

// SPIFFECertValidatorConfig.
void parse_validator(const Node& node, ValidationConfig& out) {
  (void)node["name"].as_string_or("");
  const config::TypedConfig how = node.required("typed_config").typed_config();
  close(node);
  if (how.type.empty()) return;
  if (how.type != kSpiffe) {
    return node["typed_config"].error(
        str("unsupported validator ", config::printable(how.type), " (expected ", kSpiffe, ')'));
  }
  bool is_readable = true;
  std::unordered_set<std::string> known;
  for (const Node item : how.node["trust_domains"].items()) {
    std::string name = item.required("name").as_string();
    const Node bundle = item.required("trust_bundle");
    std::string pem = read_data_source(bundle).text;
    refuse(item, {"workload_trust_domain"}, "a bundle is for the trust domain of its name");
    close(item);
    is_readable &= !pem.empty();
    if (!pem.empty() && !name.empty()) {
      add_trust_domain(bundle, std::move(name), std::move(pem), known, out);
    }
  }
  if (const Node map = how.node["trust_bundles"]) {
    const std::string text = read_data_source(map).text;
    is_readable &= !text.empty();
    if (!text.empty()) parse_bundle_map(map, text, known, out);
  }
  close(how.node);
  // Without a bundle there is nothing to verify by; it must not pass for "no verification".
  if (out.trust_domains.empty() && is_readable)
    how.node.error("expected at least one trust domain");
}

}  // namespace

std::string what_is_missing(const ValidationConfig& v) {
  if (!v.trusted_ca_pem.empty() && !v.trust_domains.empty()) {
    return "trusted_ca and custom_validator_config exclude each other";
  }
  if (!v.trusted_ca_pem.empty() || !v.trust_domains.empty()) return {};
  // A name that anybody may write into a certificate proves nothing.
  if (!v.sans.empty()) return "matching subject alternative names needs trusted_ca";
  if (!v.crl_pem.empty()) return "a revocation list needs trusted_ca";
  return {};
}

ValidationConfig parse_validation(const Node& node, FileUse files, Completeness completeness) {
  ValidationConfig out;
  const size_t errors_before = node.errors()->error_count();
  DataText ca = read_data_source(node["trusted_ca"], files);
  out.trusted_ca_pem = std::move(ca.text);
  out.trusted_ca_source = ca.source;
  out.crl_pem = read_data_source(node["crl"], files).text;
  parse_sans(node, out);
  parse_hashes(node, out);
  if (const Node depth = node["max_verify_depth"]) {
    out.max_verify_depth = depth.as_u32(0, kDefaultVerifyDepth);
  }
  out.crl_leaf_only = node["only_verify_leaf_cert_crl"].as_bool_or(false);
  out.allow_expired = node["allow_expired_certificate"].as_bool_or(false);
  out.accept_untrusted = node["trust_chain_verification"].as_enum_or<int>(0, kTrust) == 1;
  out.suppress_client_ca_list = node["suppress_client_ca_list"].as_bool_or(false);
  const Node validator = node["custom_validator_config"];
  if (validator) parse_validator(validator, out);
  config::check_watched_directory(node["watched_directory"]);
  refuse(node, {"system_root_certs"});
  if (node["require_signed_certificate_timestamp"].as_bool_or(false))
    refuse(node, {"require_signed_certificate_timestamp"});
  if (completeness == Completeness::kWhole) refuse(node, {"ca_certificate_provider_instance"});
  close(node);
  // What was given and could not be read was reported; nothing is missing beside it.
  const bool is_unreadable = (node.has("trusted_ca") && out.trusted_ca_pem.empty()) ||
                             (validator && out.trust_domains.empty());
  const bool is_whole = completeness == Completeness::kWhole;
  if (is_whole && !is_unreadable) {
    if (const std::string why = what_is_missing(out); !why.empty()) {
      const Node at = why.starts_with("a revocation") ? node["crl"] : node;
      at.error(why);
    }
  }
  if (!out.trusted_ca_pem.empty()) {
    if (const auto ok = parse_certificates(out.trusted_ca_pem); !ok)
      node["trusted_ca"].error(str(ca.source, ": ", ok.error()));
  }
  if (!out.crl_pem.empty() && (!is_whole || what_is_missing(out).empty())) {
    if (const auto ok = parse_crls(out.crl_pem); !ok) node["crl"].error(ok.error());
  }
  if (node.errors()->error_count() != errors_before) {
    note_file(node["trusted_ca"]);
    note_file(node["crl"]);
  }
  return out;
}

ValidationConfig merge(const ValidationConfig& base, const ValidationConfig& over) {
  const auto append = [](auto& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  ValidationConfig out = base;
  if (!over.trusted_ca_pem.empty()) {
    out.trusted_ca_pem = over.trusted_ca_pem;
    out.trusted_ca_source = over.trusted_ca_source;
  }
  if (!over.trust_domains.empty()) out.trust_domains = over.trust_domains;
  if (!over.crl_pem.empty()) out.crl_pem = over.crl_pem;
  append(out.sans, over.sans);
  append(out.certificate_hashes, over.certificate_hashes);
  append(out.spki_hashes, over.spki_hashes);
  if (over.max_verify_depth) out.max_verify_depth = over.max_verify_depth;
  out.crl_leaf_only |= over.crl_leaf_only;
  out.allow_expired |= over.allow_expired;
  out.accept_untrusted |= over.accept_untrusted;
  out.suppress_client_ca_list |= over.suppress_client_ca_list;
  return out;
}

}  // namespace pillion::tls
