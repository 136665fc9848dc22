// SdsSecretConfig and its ConfigSource: whose secret is meant.
#include <utility>
#include <variant>

#include "proxy/base/str.h"
#include "proxy/config/config_source.h"
#include "proxy/config/suggest.h"
#include "proxy/tls/secret.h"

namespace pillion::tls {
namespace {

using config::Node;
using config::Unknown;

SecretSource parse_source(const Node& node, Duration& timeout) {
  config::ConfigSource parsed = config::parse_config_source(node, Unknown::kAlwaysError);
  if (node.has("initial_fetch_timeout")) timeout = parsed.initial_fetch_timeout;
  SecretSource out;
  out.key = std::move(parsed.key);
  if (auto* path = std::get_if<config::ConfigSource::Path>(&parsed.how)) {
    out.how = SecretSource::Path{std::move(path->path)};
  } else if (auto* api = std::get_if<config::ConfigSource::Api>(&parsed.how)) {
    out.how = SecretSource::Grpc{std::move(api->service)};
  } else {
    out.how = SecretSource::Ads{};
  }
  return out;
}

}  // namespace

std::optional<SecretRef> parse_secret_ref(const Node& node, SecretKind kind) {
  if (node.is_missing()) return std::nullopt;
  const size_t errors_before = node.errors()->error_count();
  SecretRef ref;
  ref.kind = kind;
  const Node name = node.required("name");
  ref.name = name.as_string_or("");
  if (name.is_present() && ref.name.empty()) name.expected("the name of a secret");
  const Node source = node["sds_config"];
  SecretSource how;
  if (source.is_present()) {
    how = parse_source(source, ref.timeout);
    config::check_resource_name(name, ref.name);
  } else {
    how.key = "static";
    ref.initial = find_static_secret(node, ref.name, kind);
  }
  ref.source = std::make_shared<const SecretSource>(std::move(how));
  node.reject_unknown_keys(Unknown::kAlwaysError);
  // What the file defines can be known; to a resource of a control plane it may be defined there.
  if (source.is_missing() && ref.initial == nullptr && node.where().mark.line != 0)
    name.error(str("unknown secret \"", config::printable(ref.name), "\": static_resources.secrets",
                   " has no ", to_string(kind), " of this name"));
  if (node.errors()->error_count() != errors_before) return std::nullopt;
  return ref;
}

}  // namespace pillion::tls
