// Sources of our own (the SPIFFE Workload API, a CA that signs requests), where Envoy's bootstrap
// has room for them: certificate_provider_instances, and the fields of TLS contexts that name one.

#include "proxy/base/str.h"
#include "proxy/config/root.h"
#include "proxy/config/suggest.h"
#include "proxy/tls/secret.h"
#include "proxy/tls/spiffe_id.h"

namespace pillion::tls {
namespace {

using config::Node;
using config::Unknown;

constexpr std::string_view kInstances = "certificate_provider_instances";
constexpr std::string_view kSpiffe = "pillion.certs.v1.SpiffeWorkloadApi";
constexpr std::string_view kAuthority = "pillion.certs.v1.CertificateAuthority";
constexpr std::string_view kKnown[] = {kSpiffe, kAuthority};

config::Located<std::string> parse_cluster(const Node& node) {
  const Node cluster = node.required("cluster");
  config::Located<std::string> out{cluster.as_string_or(""), cluster.where()};
  if (cluster.is_present() && out.value.empty()) cluster.expected("the name of a cluster");
  return out;
}

std::string parse_trust_domain(const Node& node) {
  std::string name = node.as_string_or("");
  if (name.empty()) return name;
  if (const std::string why = trust_domain_error(name); !why.empty()) node.error(why);
  return name;
}

SecretSource::Spiffe parse_spiffe(const Node& node) {
  SecretSource::Spiffe out;
  out.cluster = parse_cluster(node);
  out.trust_domain = parse_trust_domain(node["trust_domain"]);
  return out;
}

SecretSource::Authority parse_authority(const Node& node) {
  SecretSource::Authority out;
  out.cluster = parse_cluster(node);
  out.authority = node["authority"].as_string_or("");
  const Node token = node.required("token_file");
  out.token_file = token.as_string_or("");
  if (token.is_present() && out.token_file.empty()) token.expected("the name of a file");
  out.ca_file = node["ca_file"].as_string_or("");
  out.trust_domain = parse_trust_domain(node["trust_domain"]);
  const Node identity = node["identity"];
  out.identity = identity.as_string_or("");
  if (!out.identity.empty()) {
    if (const auto domain = trust_domain_of(out.identity); !domain) identity.error(domain.error());
  }
  const Node ttl = node["ttl"];
  out.ttl = ttl.as_duration_or(out.ttl);
  if (out.ttl < std::chrono::seconds(2)) ttl.expected("at least 2s");
  constexpr config::EnumRow kKeys[] = {{"p256", static_cast<int>(KeyType::kP256)},
                                       {"p384", static_cast<int>(KeyType::kP384)},
                                       {"rsa2048", static_cast<int>(KeyType::kRsa2048)},
                                       {"rsa4096", static_cast<int>(KeyType::kRsa4096)}};
  out.key = node["key"].as_enum_or(out.key, kKeys);
  return out;
}

// Everything that decides what is asked, and of whom.
std::string key_of(std::string_view instance, const SecretSource& source) {
  std::string key = str("instance/", instance);
  const auto add = [&key](std::string_view part) { key += str('\0', part); };
  if (const auto* spiffe = std::get_if<SecretSource::Spiffe>(&source.how)) {
    add(spiffe->cluster.value);
    add(spiffe->trust_domain);
  }
  if (const auto* authority = std::get_if<SecretSource::Authority>(&source.how)) {
    for (const std::string* part :
         {&authority->cluster.value, &authority->authority, &authority->token_file,
          &authority->ca_file, &authority->identity, &authority->trust_domain})
      add(*part);
    add(str(authority->ttl.count()));
    add(str(static_cast<int>(authority->key)));
  }
  return key;
}

}  // namespace

SecretSourcePtr parse_provider(const Node& node) {
  const size_t errors_before = node.errors()->error_count();
  (void)node["name"].as_string_or("");
  const auto [type, fields] = node["typed_config"].typed_config();
  node.reject_unknown_keys(Unknown::kAlwaysError);
  SecretSource out;
  if (type == kSpiffe) {
    out.how = parse_spiffe(fields);
  } else if (type == kAuthority) {
    out.how = parse_authority(fields);
  } else if (!type.empty()) {
    fields.error(str("unknown certificate provider \"", config::printable(type), '"',
                     config::did_you_mean(type, kKnown)));
  }
  if (!type.empty()) fields.reject_unknown_keys(Unknown::kAlwaysError);
  if (node.errors()->error_count() != errors_before || type.empty()) return nullptr;
  out.key = key_of(node.key(), out);
  return std::make_shared<const SecretSource>(std::move(out));
}

std::optional<SecretRef> parse_provider_ref(const Node& node, SecretKind kind,
                                            std::string_view default_name) {
  if (node.is_missing()) return std::nullopt;
  const Node instance = node.required("instance_name");
  const std::string name = instance.as_string_or("");
  SecretRef ref;
  ref.kind = kind;
  ref.name = node["certificate_name"].as_string_or(default_name);
  node.reject_unknown_keys(Unknown::kAlwaysError);
  if (name.empty()) return std::nullopt;
  config::Errors elsewhere;  // what is wrong with it is told where it stands
  const Node found = config::root_of(node, elsewhere)[kInstances][name];
  if (found.is_missing()) {
    instance.error(
        str("unknown instance \"", config::printable(name), "\": ", kInstances, " has none"));
    return std::nullopt;
  }
  ref.source = parse_provider(found);
  if (ref.source == nullptr) return std::nullopt;
  ref.timeout = {};  // it is who the workload is
  return ref;
}

}  // namespace pillion::tls
