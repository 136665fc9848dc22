#pragma once
// Filters whose configuration comes by ECDS (config.core.v3.ExtensionConfigSource): what the place
// that names one says of it, and what stands there until, or unless, something has come.
//
// A change replaces the filter in a listener that is compiled already, as with_route_tables() does
// with routes: new streams on the connections that are there have the new one, and nothing is
// drained.  Each place has a filter of its own, so that two listeners do not share a token bucket.

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/core/http_filter.h"
#include "proxy/core/network_filter.h"

namespace pillion::config {
struct ConfigSource;
}

namespace pillion::core {

struct ListenerConfig;

// `hash`: of its configuration; 0: of nothing that came by ECDS.
struct HttpExtension {
  const HttpFilterType* type = nullptr;
  std::shared_ptr<const HttpFilterFactory> factory;
  uint64_t hash = 0;
};
struct NetworkExtension {
  const NetworkFilterType* type = nullptr;
  std::shared_ptr<const NetworkFilter> filter;
  uint64_t hash = 0;
};

// Of listener filters the type is all: what else they say changes nothing.
struct ListenerExtension {
  std::string_view type;  // of the message (listener_filter_types()); empty: nothing has come
  uint64_t hash = 0;
};

// Where ECDS names are looked up.  What comes back is made anew; without a factory, filter or type:
// nothing has come, or it is of another kind.
class ExtensionSource {
 public:
  virtual HttpExtension http_extension(std::string_view /*name*/) { return {}; }
  virtual NetworkExtension network_extension(std::string_view /*name*/) { return {}; }
  virtual ListenerExtension listener_extension(std::string_view /*name*/) { return {}; }

 protected:
  ~ExtensionSource() = default;
};

struct ExtensionDiscovery {
  std::string name;                                    // of the filter, and of the resource
  std::vector<std::string> types;                      // type_urls: what it may be
  Duration timeout{};                                  // initial_fetch_timeout
  std::shared_ptr<const config::ConfigSource> source;  // null: ads
  bool has_default = false;                            // default_config
  bool must_wait = true;                               // no apply_default_config_without_warming

  [[nodiscard]] bool allows(std::string_view type) const;
};
struct HttpDiscovery : ExtensionDiscovery {
  HttpExtension fallback;  // the default, or missing_http_filter()

  // What ECDS says, if it is of one of `types`; else the fallback.
  [[nodiscard]] HttpExtension find(ExtensionSource& source) const;
};
struct NetworkDiscovery : ExtensionDiscovery {
  NetworkExtension fallback;
  [[nodiscard]] NetworkExtension find(ExtensionSource& source) const;
};
struct ListenerFilterDiscovery : ExtensionDiscovery {
  ListenerExtension fallback;  // without a type: connections are closed
  [[nodiscard]] ListenerExtension find(ExtensionSource& source) const;
};

// Stand where a filter should be: answers requests with 500 and the flag NFCF; closes connections.
std::shared_ptr<const HttpFilterFactory> missing_http_filter();
std::shared_ptr<const NetworkFilter> missing_network_filter();

// The listener with what `source` says now of these names.
using ExtensionNames = std::set<std::string, std::less<>>;
std::shared_ptr<const ListenerConfig> with_extensions(const ListenerConfig& listener,
                                                      ExtensionSource& source,
                                                      const ExtensionNames& names);

}  // namespace pillion::core
