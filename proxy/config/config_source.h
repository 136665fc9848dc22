#pragma once
// envoy.config.core.v3.ConfigSource: where a resource comes from that is only named.

#include <chrono>
#include <memory>
#include <string>
#include <variant>

#include "proxy/config/grpc_service.h"
#include "proxy/config/node.h"

namespace pillion::config {

struct ConfigSource {
  // The stream of dynamic_resources.ads_config; `self`, which means the server that the resource
  // came from, is the same here.
  struct Ads {};
  // A file that holds a DiscoveryResponse; its changes are followed.
  struct Path {
    std::string path;
  };
  // A stream for one type of resources.
  struct Api {
    GrpcService service;
  };

  std::variant<Ads, Path, Api> how;
  // Equal for sources that are the same one.
  std::string key = "ads";
  // How long its absence holds up what needs it; 0: for ever.
  std::chrono::nanoseconds initial_fetch_timeout = std::chrono::seconds(15);

  [[nodiscard]] bool is_ads() const noexcept { return std::holds_alternative<Ads>(how); }
};

// Null for the stream of ads_config, which nearly all are: a mesh has ten thousand of them.
using ConfigSourcePtr = std::shared_ptr<const ConfigSource>;
inline bool is_same_source(const ConfigSourcePtr& a, const ConfigSourcePtr& b) noexcept {
  return a == b || (a != nullptr && b != nullptr && a->key == b->key);
}
// Of several, equal ones share their memory by it.
ConfigSourcePtr shared_source(ConfigSource source);

// What is wrong is reported, and `ads` returned.  Missing: nothing is reported (see
// Node::required).  `unknown`: kAlwaysError where a misread field would weaken security.
ConfigSource parse_config_source(const Node& node, Unknown unknown = Unknown::kAsConfigured);

// What tells one service from another: what is asked, and of whom.
std::string key_of(const GrpcService& service);

// WatchedDirectory beside a file: read and checked, for the directories on the way to a file are
// watched in any case.
void check_watched_directory(const Node& node, Unknown unknown = Unknown::kAlwaysError);

// xdstp:// names are refused: their authorities and collections are not served.
void check_resource_name(const Node& node, std::string_view name);

// resource_api_version and transport_api_version: V3 alone.
void check_api_version(const Node& node);

}  // namespace pillion::config
