// Filters by ECDS, under live connections.
#include <algorithm>
#include <functional>

#include "proxy/core/extension.h"
#include "tests/component/worker_fixture.h"

namespace pillion::testing {
namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

// A filter that comes by ECDS and may be `type`.
std::string discovered(std::string_view name, std::string_view type, std::string_view more = "") {
  return str("{ name: ", name, ", config_discovery: { config_source: { ads: {} }, type_urls: [ ",
             "type.googleapis.com/envoy.extensions.filters.", type, " ], ", more, " } }, ");
}
constexpr std::string_view kInspector =
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
constexpr std::string_view kFault = "http.fault.v3.HTTPFault";
std::string abort_with(int status) {
  return str("abort: { http_status: ", status, ", percentage: { numerator: 100 } }");
}

class Extensions : public WorkerTest, protected core::ExtensionSource {
 protected:
  void begin(std::string filters) {
    set_cluster({backend.address});
    ListenerYaml yaml;
    yaml.filters = std::move(filters);
    listen(yaml);
  }
  // ECDS says that, of "fault"; nothing if empty.
  void say(std::string_view fields) {
    said = fields;
    core::ExtensionSource& source = *this;
    listener->update(core::with_extensions(listener->config(), source, {"fault", "guard"}));
  }
  core::HttpExtension http_extension(std::string_view name) override {
    if (name != "fault" || said.empty()) return {};
    const auto* type = &*std::ranges::find_if(
        filters::http_filters(), [](const auto& t) { return t.type.ends_with(kFault); });
    const telemetry::HeaderFormats formats;
    auto factory = parse(str("{ ", said, " }"), [&](const config::Node& n) {
      return type->parse(n, {formats, {}, nullptr});
    });
    return {type, std::move(factory), std::hash<std::string>{}(said)};
  }
  core::ListenerExtension listener_extension(std::string_view name) override {
    if (name != "lf" || said.empty()) return {};
    return {kInspector, 1};
  }
  int ask(Peer& client) {
    client.send(kGet);
    return status_of(client.message());
  }

  Backend backend{loop};
  std::string said;
};

TEST_F(Extensions, WithoutAConfigurationRequestsGet500) {
  begin(discovered("fault", kFault));
  Peer client = request();
  EXPECT_EQ(status_of(client.message()), 500);
  EXPECT_EQ(logged(), "500 NFCF filter_config_not_found");
  EXPECT_EQ(app->upstream_rq_total.value(), 0u) << "it may be a guard that is missing";
}

TEST_F(Extensions, AChangeCountsForTheNextRequestOfALiveConnection) {
  begin(discovered("fault", kFault));
  Peer client = request();
  EXPECT_EQ(status_of(client.message()), 500);
  say(abort_with(418));
  EXPECT_EQ(ask(client), 418);
  say(abort_with(503));
  EXPECT_EQ(ask(client), 503);
  say("");
  EXPECT_EQ(ask(client), 500) << "taken away";
  EXPECT_EQ(connection_count, 1);
}

TEST_F(Extensions, TheDefaultStandsInUntilSomethingComes) {
  begin(discovered("fault", kFault,
                   str("default_config: { '@type': type.googleapis.com/envoy.extensions.filters.",
                       kFault, ", ", abort_with(451), " }")));
  Peer client = request();
  EXPECT_EQ(status_of(client.message()), 451);
  say(abort_with(418));
  EXPECT_EQ(ask(client), 418);
  say("");
  EXPECT_EQ(ask(client), 451);
}

TEST_F(Extensions, ARouteMayDisableWhatIsMissing) {
  set_cluster({backend.address});
  ListenerYaml yaml;
  yaml.filters = discovered("fault", kFault);
  yaml.routes =
      "{ match: { path: /free }, direct_response: { status: 204 }, typed_per_filter_config: { "
      "fault: { '@type': type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true } "
      "} }, { match: { prefix: / }, direct_response: { status: 200 } }";
  listen(yaml);
  Peer client = request("GET /free HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(status_of(client.message()), 204);
  EXPECT_EQ(ask(client), 500);
}

TEST_F(Extensions, AnotherTypeThanTheListenerTakesDoesNotCount) {
  begin(discovered("fault", "http.buffer.v3.Buffer"));
  say(abort_with(418));
  Peer client = request();
  EXPECT_EQ(status_of(client.message()), 500);
}

TEST_F(Extensions, AMissingNetworkFilterClosesConnections) {
  log_format = "%CONNECTION_TERMINATION_DETAILS%";
  ListenerYaml yaml;
  yaml.guards = discovered("guard", "network.rbac.v3.RBAC");
  yaml.tcp = "idle_timeout: 1s";
  listen(yaml);
  Peer client = connect();
  EXPECT_TRUE(client.waits_for_the_end());
  EXPECT_EQ(client.received(), "");
  EXPECT_EQ(logged(), "filter_config_not_found");
  EXPECT_EQ(registry.total<stats::ListenerStats>(listener->config().stat_name,
                                                 "network_extension_config_missing"),
            1u);
  EXPECT_EQ(tcp->downstream_cx_total.value(), 0u);
}

TEST_F(Extensions, WithoutAListenerFilterConnectionsAreClosedAndCounted) {
  set_cluster({backend.address});
  ListenerYaml yaml;
  yaml.listener = str("listener_filters: [ { name: lf, config_discovery: { config_source: { ads: ",
                      "{} }, type_urls: [ ", kInspector, " ] } } ]");
  yaml.routes = "{ match: { prefix: / }, direct_response: { status: 200 } }";
  listen(yaml);
  const auto stats = registry.block<stats::ListenerStats>(0, listener->config().stat_name);
  Peer refused = connect();
  EXPECT_TRUE(refused.waits_for_the_end());
  EXPECT_EQ(stats->extension_config_missing.value(), 1u);
  EXPECT_EQ(stats->downstream_cx_active.value(), 0);
  said = kInspector;
  core::ExtensionSource& source = *this;
  listener->update(core::with_extensions(listener->config(), source, {"lf"}));
  Peer client = request();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(stats->extension_config_missing.value(), 1u);
}

}  // namespace
}  // namespace pillion::testing
