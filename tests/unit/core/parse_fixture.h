#pragma once
// Listeners as YAML; what folders below core/ bring is faked.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/config/loader.h"
#include "proxy/core/parse.h"
#include "tests/unit/route/fixture.h"

namespace pillion::core {

struct FakeServices final : ParseServices {
  struct Logger final : AccessLogger {
    void log(const StreamInfo&) const override {}
  };
  struct Replies final : LocalReplies {
    void apply(const StreamInfo&, Arena&, http::Headers&, LocalReplyText&) const override {}
  };
  std::vector<std::shared_ptr<const AccessLogger>> access_logs(const config::Node& list) override {
    std::vector<std::shared_ptr<const AccessLogger>> loggers;
    for (size_t i = 0; i < list.size(); ++i) loggers.push_back(std::make_shared<const Logger>());
    return loggers;
  }
  std::shared_ptr<const LocalReplies> local_replies(const config::Node& node) override {
    return node.is_present() ? std::make_shared<const Replies>() : nullptr;
  }
  const route::FormatFactory& header_formats() override { return formats; }
  std::span<const HttpFilterType> http_filters() override { return {}; }
  route::AngleFormats formats;
};

inline constexpr std::string_view kManagerType =
    "type.googleapis.com/"
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
inline constexpr std::string_view kTcpProxyType =
    "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
inline constexpr std::string_view kRouter =
    "{ name: router, typed_config: { '@type': "
    "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } }";

// Fields of a flow mapping, joined.
inline std::string fields(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) {
    if (!part.empty()) text += str(text.empty() ? "" : ", ", part);
  }
  return text;
}
// The least that each message needs, and `more` of its fields.
inline std::string manager(std::string_view more = {}) {
  return str("{ ", fields({"stat_prefix: web, route_config: {}", more}), ", http_filters: [ ",
             kRouter, " ] }");
}
inline std::string tcp_proxy(std::string_view more = {}) {
  return str("{ ", fields({"stat_prefix: db, cluster: db", more}), " }");
}
inline std::string filter(std::string_view type, std::string_view message) {
  return str("{ name: f, typed_config: { '@type': ", type, ", ", message.substr(1), " }");
}
inline std::string chain(std::string_view more = {}, std::string_view filters = {}) {
  const std::string web = filter(kManagerType, manager());
  return str("{ ", fields({more, "filters: [ "}), filters.empty() ? web : filters, " ] }");
}
inline constexpr std::string_view kAddress =
    "address: { socket_address: { address: 127.0.0.1, port_value: 80 } }";
inline std::string listener(std::string_view more = {}, std::string_view chains = {}) {
  return str("{ ", fields({kAddress, more, "filter_chains: [ "}), chains.empty() ? chain() : chains,
             " ] }");
}

// A message made of YAML; its text and errors live as long.
template <typename T>
struct Parsed {
  using Parse = std::shared_ptr<const T> (*)(const config::Node&, const ParseContext&);
  Parsed(std::string_view yaml, Parse parse) : document(config::load_text(yaml, "l", errors)) {
    if (document != nullptr) value = parse(document->root(errors), {services, clusters});
    messages = errors.to_string() + errors.to_string(config::Severity::kWarning);
    EXPECT_TRUE(errors.unfinished().empty() || !errors.ok()) << errors.unfinished().front().path;
  }
  const T* operator->() const { return value.get(); }
  const T& operator*() const { return *value; }

  config::Errors errors;
  config::DocumentPtr document;
  FakeServices services;
  std::vector<config::Located<std::string>> clusters;
  std::shared_ptr<const T> value;
  std::string messages;
};
struct ParsedListener : Parsed<ListenerConfig> {
  explicit ParsedListener(std::string_view yaml) : Parsed(yaml, parse_listener) {}
};
struct ParsedManager : Parsed<HcmConfig> {
  explicit ParsedManager(std::string_view yaml) : Parsed(yaml, parse_hcm) {}
};
struct ParsedTcpProxy : Parsed<TcpProxyConfig> {
  explicit ParsedTcpProxy(std::string_view yaml) : Parsed(yaml, parse_tcp_proxy) {}
};

// A field as YAML, and whether it has reached its struct; the default must not look like it.
template <typename T>
struct FieldCase {
  std::string_view yaml;
  bool (*arrived)(const T&);
};

}  // namespace pillion::core
