// What comes by ECDS: how a resource becomes a filter, and how listeners get it.
#include <algorithm>
#include <iterator>
#include <utility>

#include "filters/registry.h"
#include "proxy/base/str.h"
#include "proxy/builder/compile.h"
#include "proxy/builder/extensions.h"
#include "proxy/config/suggest.h"
#include "proxy/config/value_hash.h"
#include "proxy/core/extension.h"
#include "proxy/core/http_filter_chain.h"

namespace pillion {
namespace {

using config::Node;

const core::HttpFilterType* http_type(std::string_view type) {
  const auto types = filters::http_filters();
  const auto found = std::ranges::find(types, type, &core::HttpFilterType::type);
  return found == types.end() ? nullptr : &*found;
}

const core::NetworkFilterType* network_type(std::string_view type) {
  const auto types = filters::network_filters();
  const auto found = std::ranges::find(types, type, &core::NetworkFilterType::type);
  return found == types.end() ? nullptr : &*found;
}

// Empty: it is no listener filter's.
std::string_view listener_type(std::string_view type) {
  const auto types = core::listener_filter_types();
  const auto found = std::ranges::find(types, type);
  return found == types.end() ? std::string_view() : *found;
}

// Calls fn(discovery, name of the point) for each.
template <typename Fn>
void for_each_discovery(const core::ListenerConfig& listener, Fn&& fn) {
  const auto visit = [&fn](const std::shared_ptr<const core::FilterChain>& chain) {
    if (chain == nullptr) return;
    for (const core::DiscoveredNetworkFilter& d : chain->discovered)
      fn(*d.discovery, "network_filter");
    const auto* hcm = std::get_if<std::shared_ptr<const core::HcmConfig>>(&chain->terminal);
    if (hcm == nullptr || (*hcm)->filters == nullptr) return;
    for (const core::HttpFilterChain::Entry& entry : (*hcm)->filters->entries())
      if (entry.discovery != nullptr) fn(*entry.discovery, "http_filter");
  };
  for (const core::DiscoveredListenerFilter& filter : listener.discovered_filters)
    fn(*filter.discovery, "tcp_listener_filter");
  for (const auto& chain : listener.chains) visit(chain);
  visit(listener.default_chain);
}

// Has been compiled before, without an error.
struct Again {
  Again(const CompiledExtension& extension, std::string_view name, const config::Runtime& runtime) {
    errors.use(runtime);
    origin = open_origin(extension.origin, name, errors);
    message = Node(origin.value, &errors)["typed_config"].typed_config();
  }
  config::Errors errors{config::UnknownFields::kCountAnyName};
  OpenOrigin origin;
  config::TypedConfig message;
};

}  // namespace

void note_extensions(CompiledListener& out, const Compiler& compiler) {
  const auto add = [&](const core::ExtensionDiscovery& discovery, std::string_view point) {
    const auto [it, is_new] = out.extensions.try_emplace(discovery.name);
    CompiledListener::Extension& entry = it->second;
    const std::set<std::string> types(discovery.types.begin(), discovery.types.end());
    if (is_new) {
      entry.types = types;
      entry.timeout = discovery.timeout;
      entry.source = discovery.source;
      entry.must_wait = discovery.must_wait;
    } else {
      std::erase_if(entry.types, [&types](const std::string& t) { return !types.contains(t); });
      entry.must_wait |= discovery.must_wait;
    }
    entry.points.insert(point);
    entry.used = compiler.extension(discovery.name);
  };
  for_each_discovery(*out.config, add);
}

CompiledExtension Compiler::extension(const Node& node, Origin origin) {
  CompiledExtension out;
  out.origin = std::move(origin);
  const std::string name = node["name"].as_string();
  const Node any = node["typed_config"];
  const auto [type, message] = any.typed_config();
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  out.type = type;
  std::vector<config::Located<std::string>> used;
  const std::set<std::string> allowed = extension_types(resources_, name);
  if (type.empty()) return out;
  if (!allowed.contains(out.type)) {
    any["@type"].error(
        str("\"", config::printable(type), "\" is not one of the type_urls of those who name it"));
  } else if (const auto* http = http_type(type)) {
    (void)http->parse(message, {formats_, node_cluster_, &used});
  } else if (const auto* network = network_type(type)) {
    (void)network->parse(message);
  } else if (const auto listener = listener_type(type); !listener.empty()) {
    core::parse_listener_filter(listener, message);
  }
  for (const config::Located<std::string>& cluster : used) out.clusters.insert(cluster.value);
  out.hash = std::max<uint64_t>(config::hash_value(any), 1);
  return out;
}

core::HttpExtension Compiler::http_extension(std::string_view name) {
  const auto said = extension(name);
  if (said == nullptr) return {};
  const core::HttpFilterType* type = http_type(said->type);
  if (type == nullptr) return {};
  const Again again(*said, name, *resources_.runtime);
  return {type, type->parse(again.message.node, {formats_, node_cluster_, nullptr}), said->hash};
}

core::NetworkExtension Compiler::network_extension(std::string_view name) {
  const auto said = extension(name);
  if (said == nullptr) return {};
  const core::NetworkFilterType* type = network_type(said->type);
  if (type == nullptr) return {};
  const Again again(*said, name, *resources_.runtime);
  return {type, type->parse(again.message.node), said->hash};
}

core::ListenerExtension Compiler::listener_extension(std::string_view name) {
  const auto said = extension(name);
  if (said == nullptr) return {};
  return {listener_type(said->type), said->hash};
}

std::shared_ptr<const CompiledExtension> Compiler::extension(std::string_view name) const {
  const auto it = resources_.extensions.find(name);
  return it == resources_.extensions.end() ? nullptr : it->second.active;
}

std::shared_ptr<const CompiledListener> Compiler::with_extensions(
    const std::shared_ptr<const CompiledListener>& listener) {
  core::ExtensionNames changed;
  for (const auto& [name, entry] : listener->extensions)
    if (extension(name) != entry.used) changed.insert(name);
  if (changed.empty()) return listener;
  auto out = std::make_shared<CompiledListener>(*listener);
  for (const std::string& name : changed) out->extensions[name].used = extension(name);
  out->config = core::with_extensions(*listener->config, *this, changed);
  return out;
}

CompiledRuntimeLayer Compiler::runtime_layer(const Node& node, Origin origin) {
  return {std::move(origin), parse_rtds_layer(node)};
}

}  // namespace pillion
