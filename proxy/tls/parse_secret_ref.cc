// SdsSecretConfig and its ConfigSource: whose secret is meant.
#include "proxy/base/str.h"
#include "proxy/config/config_source.h"
#include "proxy/config/suggest.h"
#include "proxy/tls/data_source.h"
#include "proxy/tls/secret.h"

namespace pillion::tls {
namespace {

using config::Node;
using config::Unknown;

SecretSource grpc_source(const Node& node) {
  SecretSource out;
  config::GrpcService service = config::parse_api_config_source(node);
  // Everything that decides what is asked, and of whom.
  out.key = str("sds/", service.cluster.value, '\0', service.authority);
  for (const auto& [name, value] : service.metadata) out.key += str('\0', name, '\0', value);
  out.how = SecretSource::Grpc{std::move(service)};
  return out;
}

SecretSource path_source(const Node& node) {
  SecretSource::Path path;
  path.path = node.required("path").as_string_or("");
  // The directories on the way to the file are watched in any case.
  parse_watched_directory(node["watched_directory"]);
  node.unsupported({"poll_interval"}, "the file is watched", Unknown::kAlwaysError);
  node.reject_unknown_keys(Unknown::kAlwaysError);
  SecretSource out;
  out.key = str("path/", path.path);
  out.how = std::move(path);
  return out;
}

SecretSource parse_source(const Node& node, Duration& timeout) {
  SecretSource out;
  const Node how = node.one_of({"ads", "path", "path_config_source", "api_config_source", "self"});
  node.unsupported({"self", "authorities"}, "use ads, api_config_source or path_config_source",
                   Unknown::kAlwaysError);
  if (node.has("ads")) {
    how.reject_unknown_keys(Unknown::kAlwaysError);
    out.key = "ads";
    out.how = SecretSource::Ads{};
  } else if (node.has("api_config_source")) {
    out = grpc_source(how);
  } else if (node.has("path_config_source")) {
    out = path_source(how);
  } else if (node.has("path")) {
    SecretSource::Path path;
    path.path = how.as_string();
    out.key = str("path/", path.path);
    out.how = std::move(path);
  }
  timeout = node["initial_fetch_timeout"].as_duration_or(timeout);
  config::check_api_version(node["resource_api_version"]);
  node.reject_unknown_keys(Unknown::kAlwaysError);
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
