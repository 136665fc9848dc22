#pragma once
// How the parsers of this folder share the work.  Internal to core/.

#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "proxy/config/node.h"
#include "proxy/core/http_filter_chain.h"
#include "proxy/core/parse.h"

namespace pillion::core {

inline constexpr std::string_view kLater = "comes with a later version";

// Where Envoy takes extensions: what their types begin with, and what messages call them.
enum class ExtensionPoint : uint8_t {
  kListenerFilter,
  kNetworkFilter,
  kHttpFilter,
  kTransportSocket
};

// `{ name, typed_config }`.  A type that is not one of `supported` is refused, by name if Envoy has
// it, and the result's type is then empty.  Skipping a filter may open a door, so this is always an
// error. The caller closes `item`.
config::TypedConfig parse_extension(const config::Node& item, ExtensionPoint point,
                                    std::span<const std::string_view> supported);
inline config::TypedConfig parse_extension(const config::Node& item, ExtensionPoint point,
                                           std::initializer_list<std::string_view> supported) {
  return parse_extension(item, point, std::span(supported.begin(), supported.size()));
}

// Is it a filter that may be left out, and is it (config/skipped_types.h)?  Not from a file.
bool leaves_out(const config::Node& item);
// False, and an error at `where`, if `type` is not one of `supported`.
bool check_extension_type(const config::Node& where, std::string_view type, ExtensionPoint point,
                          std::span<const std::string_view> supported);
// config_discovery (parse_discovery.cc); the caller closes `item`.  Never null.
std::shared_ptr<const HttpDiscovery> parse_http_discovery(const config::Node& item,
                                                          std::span<const HttpFilterType> types,
                                                          const FilterParseContext& context);
std::shared_ptr<const NetworkDiscovery> parse_network_discovery(
    const config::Node& item, std::span<const NetworkFilterType> types);

std::shared_ptr<const ListenerFilterDiscovery> parse_listener_discovery(const config::Node& item);

// Fields whose false changes nothing and whose true we lack.
void refuse_true(const config::Node& node, std::initializer_list<std::string_view> keys,
                 std::string_view reason = kLater);
// The value of a header; an error if a header cannot hold it.
std::string header_text(const config::Node& node, std::string_view fallback);

FilterChainMatch parse_chain_match(const config::Node& node);
// An error on each of `chains` (in the order of the list `nodes`) that could match the same
// connection, equally well, as one before it.
void refuse_equal_matches(const std::vector<std::shared_ptr<const FilterChain>>& chains,
                          const config::Node& nodes);
// `extensions`: where those by ECDS are looked up.
void parse_listener_filters(ListenerConfig& out, const config::Node& list,
                            ExtensionSource& extensions);
// FilterChain.  Never null.
std::shared_ptr<const FilterChain> parse_filter_chain(const config::Node& node,
                                                      const ParseContext& context);

// http_filters and their typed_per_filter_config (parse_hcm_filters.cc).
class FilterListParser final : public route::FilterOverrideParser {
 public:
  // `clusters`: FilterParseContext's.
  explicit FilterListParser(ParseServices& services,
                            std::vector<config::Located<std::string>>* clusters = nullptr)
      : extensions_(services),
        types_(services.http_filters()),
        context_{services.header_formats(), services.node_cluster(), clusters} {}
  // Sets what the router says, and `filters`.  Before parse(), which then knows these names.
  void parse_list(HcmConfig& out, const config::Node& list);
  [[nodiscard]] std::unique_ptr<const route::FilterOverrides> parse(
      const config::Node& map) const override;

 private:
  struct Named {
    std::string name;
    const HttpFilterType* type;  // null: skipped, or refused
    bool is_discovered = false;  // comes by ECDS: may be of several types
  };
  void add_discovered(const config::Node& item, std::vector<HttpFilterChain::Entry>& entries);
  void refuse_known_name(const config::Node& name, const HttpFilterType* type) const;
  void add(const config::Node& item, std::string_view type, const config::Node& node,
           std::vector<HttpFilterChain::Entry>& entries);
  void parse_override(const config::Entry& entry, route::FilterOverrides& out) const;
  void parse_of_any_list(const config::TypedConfig& message, bool is_optional,
                         route::FilterOverride& out) const;
  void parse_message(const HttpFilterType& type, const config::TypedConfig& message,
                     route::FilterOverride& out) const;

  ExtensionSource& extensions_;
  std::span<const HttpFilterType> types_;
  FilterParseContext context_;
  std::vector<Named> names_;
  bool knows_list_ = false;  // else any name may be one
};

// Parts of an HttpConnectionManager.
void parse_scoped_routes(HcmConfig& out, const config::Node& node, const ParseContext& context,
                         const FilterListParser& filters);
void parse_protocol_options(HcmConfig& out, const config::Node& hcm);
void parse_request_headers(HcmConfig& out, const config::Node& hcm);

}  // namespace pillion::core
