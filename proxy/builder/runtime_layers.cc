#include "proxy/builder/runtime_layers.h"

#include <algorithm>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/builder/resources.h"
#include "proxy/config/config_source.h"
#include "proxy/config/suggest.h"

namespace pillion {
namespace {

using config::Node;
using Kind = RuntimeLayer::Kind;

RuntimeLayer parse_layer(const Node& node, bool has_ads) {
  RuntimeLayer layer;
  layer.name = node["name"].as_string();
  const Node kind = node.one_of({"static_layer", "admin_layer", "disk_layer", "rtds_layer"});
  node.unsupported({"disk_layer"}, "files under a symbolic link; use static_layer or rtds_layer",
                   config::Unknown::kAlwaysError);
  if (node.has("static_layer")) {
    layer.values = config::parse_runtime_values(kind);
  } else if (node.has("admin_layer")) {
    layer.kind = Kind::kAdmin;
    kind.reject_unknown_keys();
  } else if (node.has("rtds_layer")) {
    layer.kind = Kind::kRtds;
    layer.rtds_name = kind["name"].as_string();
    config::check_resource_name(kind["name"], layer.rtds_name);
    config::ConfigSource from = config::parse_config_source(kind.required("rtds_config"));
    if (from.is_ads() && !has_ads) kind.error("needs dynamic_resources.ads_config");
    layer.wanted.timeout = from.initial_fetch_timeout;
    layer.wanted.source = config::shared_source(std::move(from));
    kind.reject_unknown_keys();
  }
  node.reject_unknown_keys();
  return layer;
}

}  // namespace

RuntimeLayersPtr parse_runtime_layers(const Node& node, bool has_ads) {
  auto layers = std::make_shared<RuntimeLayers>();
  if (node.is_missing()) {
    layers->push_back({"base", Kind::kStatic, {}, {}, {}});
    layers->push_back({"admin", Kind::kAdmin, {}, {}, {}});
    return layers;
  }
  for (const Node item : node["layers"].items()) {
    RuntimeLayer layer = parse_layer(item, has_ads);
    for (const RuntimeLayer& other : *layers) {
      if (other.name == layer.name)
        item["name"].error(
            str("another layer is called \"", config::printable(layer.name), "\" already"));
      if (other.kind == Kind::kAdmin && layer.kind == Kind::kAdmin)
        item["admin_layer"].error("there is an admin layer already");
    }
    layers->push_back(std::move(layer));
  }
  node.reject_unknown_keys();
  return layers;
}

config::RuntimeValues parse_rtds_layer(const Node& runtime) {
  (void)runtime["name"].as_string();
  config::RuntimeValues values = config::parse_runtime_values(runtime["layer"]);
  runtime.reject_unknown_keys();
  return values;
}

bool has_admin_layer(const RuntimeLayers& layers) {
  return std::ranges::find(layers, Kind::kAdmin, &RuntimeLayer::kind) != layers.end();
}

WantedNames wanted_runtime_layers(const RuntimeLayers& layers) {
  WantedNames names;
  for (const RuntimeLayer& layer : layers)
    if (layer.kind == Kind::kRtds) names.emplace(layer.rtds_name, layer.wanted);
  return names;
}

void for_each_layer(
    const RuntimeLayers& layers, const Resources& resources,
    const std::function<void(const RuntimeLayer&, const config::RuntimeValues&)>& fn) {
  static const config::RuntimeValues kNone;
  for (const RuntimeLayer& layer : layers) {
    const config::RuntimeValues* values = &layer.values;
    if (layer.kind == Kind::kAdmin) {
      values = resources.admin_values == nullptr ? &kNone : resources.admin_values.get();
    } else if (layer.kind == Kind::kRtds) {
      const auto it = resources.runtime_layers.find(layer.rtds_name);
      const bool has_some = it != resources.runtime_layers.end() && it->second.active != nullptr;
      values = has_some ? &it->second.active->values : &kNone;
    }
    fn(layer, *values);
  }
}

config::Runtime merge_layers(const RuntimeLayers& layers, const Resources& resources) {
  config::RuntimeValues merged;
  for_each_layer(layers, resources,
                 [&merged](const RuntimeLayer&, const config::RuntimeValues& more) {
                   for (const auto& [key, value] : more) merged.insert_or_assign(key, value);
                 });
  return config::Runtime(std::move(merged));
}

}  // namespace pillion
