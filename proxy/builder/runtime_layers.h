#pragma once
// The layers of the runtime (config.bootstrap.v3.LayeredRuntime), and how they become one
// config::Runtime: of a key that several have the last one's value holds.
//
//   static_layer   values of the file
//   admin_layer    POST /runtime_modify; one at most
//   rtds_layer     by RTDS, whose resource is one layer (envoy.service.runtime.v3.Runtime)
//
// Without layered_runtime there are two, as in Envoy: "base", which is empty, and "admin".

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/builder/wanted.h"
#include "proxy/config/runtime.h"

namespace pillion {

struct Resources;

struct RuntimeLayer {
  enum class Kind : uint8_t { kStatic, kAdmin, kRtds };
  std::string name;
  Kind kind = Kind::kStatic;
  config::RuntimeValues values;  // of kStatic
  // Of kRtds:
  std::string rtds_name;
  Wanted wanted;
};
using RuntimeLayers = std::vector<RuntimeLayer>;
using RuntimeLayersPtr = std::shared_ptr<const RuntimeLayers>;

// `has_ads`: an rtds_layer needs it.  Never null.
RuntimeLayersPtr parse_runtime_layers(const config::Node& layered_runtime, bool has_ads);
// A resource of RTDS.
config::RuntimeValues parse_rtds_layer(const config::Node& runtime);

[[nodiscard]] bool has_admin_layer(const RuntimeLayers& layers);
// RTDS names, and how long they are waited for.
WantedNames wanted_runtime_layers(const RuntimeLayers& layers);

// Calls fn(layer, its values) for each layer, in order; the values of those that are not the file's
// are in `resources`.
void for_each_layer(
    const RuntimeLayers& layers, const Resources& resources,
    const std::function<void(const RuntimeLayer&, const config::RuntimeValues&)>& fn);

config::Runtime merge_layers(const RuntimeLayers& layers, const Resources& resources);

}  // namespace pillion
