// ECDS in the builder: listeners wait for their filters, and get others without being parsed again.
#include "proxy/builder/extensions.h"

#include <gmock/gmock.h>

#include "proxy/core/http_filter_chain.h"
#include "tests/support/build_test.h"

namespace pillion::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Pair;

std::string any(std::string_view type, std::string_view fields) {
  return any_json(str("envoy.extensions.filters.", type), str("{", fields, "}"));
}
constexpr std::string_view kFault = "http.fault.v3.HTTPFault";
constexpr std::string_view kBuffer = "http.buffer.v3.Buffer";

std::string fault(int status, std::string_view key = "") {
  return any(kFault,
             str(R"("abort":{"http_status":)", status, R"(,"percentage":{"numerator":100}})",
                 key.empty() ? "" : R"(,"abort_percent_runtime":")", key, key.empty() ? "" : "\""));
}
std::string extension(std::string_view name, std::string_view message) {
  return resource_json(name, str(R"("typed_config":)", message));
}
// A filter "f" by ECDS.
std::string discovered(std::string_view type = kFault, std::string_view more = "") {
  return str(R"({"name":"f","config_discovery":{"config_source":{"ads":{}},"type_urls":[)",
             R"("type.googleapis.com/envoy.extensions.filters.)", type, R"("])", more, "}},");
}
std::string listener(std::string_view name, int port, std::string_view filters,
                     ListenerParts parts = {}) {
  parts.http_filters = filters;
  return listener_json(
      name, port,
      R"("route_config":{"virtual_hosts":[{"name":"all","domains":["*"],"routes":[)"
      R"({"match":{"prefix":"/"},"direct_response":{"status":200}}]}]})",
      parts);
}

class ExtensionBuild : public BuildTest {
 protected:
  void SetUp() override {
    start(str(ads_bootstrap(),
              "layered_runtime: { layers: [ { name: rt, rtds_layer: { name: rt, "
              "rtds_config: { ads: {} } } } ] }\n"));
  }
  void give_up(const std::string& name) {
    job.given_up_extensions.insert(name);
    (void)build();
  }
  const core::HttpFilterChain::Entry& entry(size_t of_listener = 0) const {
    return hcm_at(of_listener).filters->entries().at(0);
  }
  // Of the filter that runs; "" for the one that stands for a missing one.
  std::string_view type(size_t of_listener = 0) const {
    const auto* row = static_cast<const core::HttpFilterType*>(entry(of_listener).type);
    return row == nullptr ? std::string_view() : row->type;
  }
};

TEST_F(ExtensionBuild, AListenerWaitsForItsFilter) {
  EXPECT_EQ(say(Type::kListeners, {listener("in", 1001, discovered())}), "");
  EXPECT_THAT(snapshot->listeners, IsEmpty());
  EXPECT_EQ(snapshot->resources->warming_listeners, 1u);
  EXPECT_THAT(wanted_extensions(*snapshot->resources),
              ElementsAre(Pair("f", Wanted{std::chrono::seconds(15), nullptr})));
  EXPECT_EQ(say(Type::kExtensions, {extension("f", fault(418))}), "");
  ASSERT_EQ(snapshot->listeners.size(), 1u);
  EXPECT_TRUE(type().ends_with(kFault));
  EXPECT_EQ(snapshot->resources->warming_listeners, 0u);
}

TEST_F(ExtensionBuild, WhatDoesNotComeIsGivenUpAndStandsForA500) {
  (void)say(Type::kListeners, {listener("in", 1001, discovered())});
  give_up("f");
  ASSERT_EQ(snapshot->listeners.size(), 1u);
  EXPECT_EQ(type(), "");
  (void)say(Type::kExtensions, {extension("f", fault(418))});
  EXPECT_TRUE(type().ends_with(kFault));
}

TEST_F(ExtensionBuild, ADefaultMayServeAtOnce) {
  const std::string by_default = str(R"(,"default_config":)", fault(400));
  (void)say(Type::kListeners,
            {listener("waits", 1001, discovered(kFault, by_default)),
             listener("serves", 1002,
                      discovered(kFault,
                                 by_default + R"(,"apply_default_config_without_warming":true)"))});
  ASSERT_EQ(snapshot->listeners.size(), 1u);
  EXPECT_EQ(snapshot->listeners[0]->name, "serves");
  EXPECT_TRUE(type().ends_with(kFault));
  give_up("f");
  ASSERT_EQ(snapshot->listeners.size(), 2u);
  EXPECT_EQ(entry(0).extension_hash, 0u) << "the default";
}

TEST_F(ExtensionBuild, AChangeReplacesTheFilterAndNothingElse) {
  (void)say(Type::kListeners, {listener("in", 1001, discovered())});
  (void)say(Type::kExtensions, {extension("f", fault(418))});
  const auto former = snapshot->listeners[0];
  const auto former_factory = entry().factory;
  (void)say(Type::kExtensions, {extension("f", fault(418))});
  EXPECT_EQ(snapshot->listeners[0], former) << "said again";
  (void)say(Type::kExtensions, {extension("f", fault(419))});
  const auto now = snapshot->listeners[0];
  EXPECT_NE(entry().factory, former_factory);
  EXPECT_NE(now->hash, former->hash);
  EXPECT_EQ(now->socket_hash, former->socket_hash);
  EXPECT_EQ(now->chains[0]->connection_hash, former->chains[0]->connection_hash)
      << "connections stay";
  EXPECT_EQ(hcm_at(0).routes,
            std::get<std::shared_ptr<const core::HcmConfig>>(former->chains[0]->terminal)->routes);
}

TEST_F(ExtensionBuild, TwoPlacesHaveAFilterEach) {
  (void)say(Type::kListeners,
            {listener("a", 1001, discovered()), listener("b", 1002, discovered())});
  (void)say(Type::kExtensions, {extension("f", fault(418))});
  ASSERT_EQ(snapshot->listeners.size(), 2u);
  EXPECT_NE(entry(0).factory, entry(1).factory) << "a limit of one is not that of the other";
  EXPECT_EQ(entry(0).extension_hash, entry(1).extension_hash);
}

TEST_F(ExtensionBuild, WhatIsRefusedKeepsItsPredecessor) {
  (void)say(Type::kListeners, {listener("in", 1001, discovered())});
  (void)say(Type::kExtensions, {extension("f", fault(418))});
  const auto former = entry().factory;
  EXPECT_THAT(say(Type::kExtensions, {extension("f", fault(7))}),
              HasSubstr("ecds/f: typed_config.abort.http_status: expected 200-599"));
  EXPECT_EQ(entry().factory, former);
  EXPECT_TRUE(snapshot->resources->extensions.find("f")->second.error);
  EXPECT_EQ(say(Type::kExtensions, {extension("f", fault(420))}), "");
  EXPECT_NE(entry().factory, former);
}

TEST_F(ExtensionBuild, TypesThatNobodyTakesAreRefusedByName) {
  (void)say(Type::kListeners, {listener("in", 1001, discovered())});
  EXPECT_THAT(say(Type::kExtensions, {extension("f", any(kBuffer, R"("max_request_bytes":1)"))}),
              HasSubstr("Buffer\" is not one of the type_urls of those who name it"));
  EXPECT_THAT(snapshot->listeners, IsEmpty());
}

TEST_F(ExtensionBuild, ALaterListenerOfAnotherTypeGetsNoFilterOfThisOne) {
  (void)say(Type::kListeners, {listener("in", 1001, discovered())});
  (void)say(Type::kExtensions, {extension("f", fault(418))});
  (void)say(Type::kListeners,
            {listener("in", 1001, discovered()), listener("other", 1002, discovered(kBuffer))});
  ASSERT_EQ(snapshot->listeners.size(), 2u);
  EXPECT_TRUE(type(0).ends_with(kFault));
  EXPECT_EQ(type(1), "");
}

TEST_F(ExtensionBuild, ADeltaMayTakeItAway) {
  (void)say(Type::kListeners, {listener("in", 1001, discovered())});
  (void)say(Type::kExtensions, {extension("f", fault(418))});
  EXPECT_EQ(remove(Type::kExtensions, {"f"}), "");
  ASSERT_EQ(snapshot->listeners.size(), 1u) << "it serves, without the filter";
  EXPECT_EQ(type(), "");
}

TEST_F(ExtensionBuild, WhatNobodyNamesIsNotKept) {
  EXPECT_EQ(say(Type::kExtensions, {extension("else", fault(418))}), "");
  EXPECT_THAT(snapshot->resources->extensions, IsEmpty());
  (void)say(Type::kListeners, {listener("in", 1001, discovered())});
  (void)say(Type::kExtensions, {extension("f", fault(418))});
  EXPECT_THAT(snapshot->resources->extensions, ElementsAre(Key("f")));
  (void)say(Type::kListeners, {listener("in", 1001, "")});
  EXPECT_THAT(snapshot->resources->extensions, IsEmpty());
}

TEST_F(ExtensionBuild, KeysOfTheRuntimeCountInExtensions) {
  (void)say(Type::kListeners, {listener("in", 1001, discovered())});
  (void)say(Type::kExtensions, {extension("f", fault(418, "share"))});
  const auto former = entry().factory;
  (void)say(Type::kRuntime, {R"({"name":"rt","layer":{"other":1}})"});
  EXPECT_EQ(entry().factory, former);
  (void)say(Type::kRuntime, {R"({"name":"rt","layer":{"share":50}})"});
  EXPECT_NE(entry().factory, former);
}

TEST_F(ExtensionBuild, NetworkFiltersComeByEcdsToo) {
  const std::string guard =
      str(R"({"name":"g","config_discovery":{"config_source":{"ads":{}},"type_urls":[)",
          R"("type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC"]}},)");
  (void)say(Type::kListeners, {listener("in", 1001, "", {.guards = guard})});
  EXPECT_THAT(snapshot->listeners, IsEmpty());
  const auto rbac = [](std::string_view prefix) {
    return extension("g", any("network.rbac.v3.RBAC", str(R"("stat_prefix":")", prefix, '"')));
  };
  EXPECT_EQ(say(Type::kExtensions, {rbac("a")}), "");
  ASSERT_EQ(snapshot->listeners.size(), 1u);
  const auto former = snapshot->listeners[0]->chains[0];
  EXPECT_EQ(say(Type::kExtensions, {rbac("b")}), "");
  const auto now = snapshot->listeners[0]->chains[0];
  EXPECT_NE(now->network_filters[0], former->network_filters[0]);
  EXPECT_NE(now->hash, former->hash);
  EXPECT_EQ(now->connection_hash, former->connection_hash);
}

// A listener whose filter "f" by ECDS is an inspector.
std::string inspected(std::string_view more = "", std::string_view of_filter = "") {
  const std::string filters =
      str(R"("listener_filters":[{"name":"f","config_discovery":{"config_source":{"ads":{}},)",
          R"("type_urls":["envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",)",
          R"("envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"])", more, "}",
          of_filter, "}],");
  return listener("in", 1001, "", {.fields = filters});
}
constexpr std::string_view kTlsInspector = "listener.tls_inspector.v3.TlsInspector";
constexpr std::string_view kHttpInspector = "listener.http_inspector.v3.HttpInspector";

TEST_F(ExtensionBuild, ListenerFiltersComeByEcdsToo) {
  EXPECT_EQ(say(Type::kListeners, {inspected()}), "");
  EXPECT_THAT(snapshot->listeners, IsEmpty());
  EXPECT_THAT(extension_users(*snapshot->resources),
              ElementsAre(Pair("f", ElementsAre("tcp_listener_filter"))));
  EXPECT_EQ(say(Type::kExtensions, {extension("f", any(kTlsInspector, ""))}), "");
  ASSERT_EQ(snapshot->listeners.size(), 1u);
  const auto first = snapshot->listeners[0];
  EXPECT_TRUE(first->tls_inspector && !first->http_inspector && !first->lacks_config);
  EXPECT_EQ(say(Type::kExtensions, {extension("f", any(kHttpInspector, ""))}), "");
  const auto next = snapshot->listeners[0];
  EXPECT_TRUE(!next->tls_inspector && next->http_inspector);
  EXPECT_NE(next->hash, first->hash);
  EXPECT_EQ(next->socket_hash, first->socket_hash);
  EXPECT_EQ(next->chains, first->chains) << "connections stay";
  EXPECT_THAT(
      say(Type::kExtensions, {extension("f", any(kTlsInspector, R"("max_client_hello_size":1)"))}),
      HasSubstr("ecds/f: typed_config.max_client_hello_size: expected 256-16384"));
  EXPECT_TRUE(snapshot->listeners[0]->http_inspector) << "what is refused keeps its predecessor";
}

TEST_F(ExtensionBuild, AListenerFilterThatDoesNotComeLetsNoConnectionPass) {
  (void)say(Type::kListeners, {inspected()});
  give_up("f");
  ASSERT_EQ(snapshot->listeners.size(), 1u);
  EXPECT_TRUE(snapshot->listeners[0]->lacks_config);
  (void)say(Type::kExtensions, {extension("f", any(kTlsInspector, ""))});
  EXPECT_FALSE(snapshot->listeners[0]->lacks_config);
}

TEST_F(ExtensionBuild, AListenerFilterMayHaveADefaultAndPortsThatItLeavesAlone) {
  const std::string defaults = str(R"(,"default_config":)", any(kHttpInspector, ""),
                                   R"(,"apply_default_config_without_warming":true)");
  EXPECT_EQ(
      say(Type::kListeners, {inspected(defaults, R"(,"filter_disabled":{"destination_port_range":)"
                                                 R"({"start":80,"end":81}})")}),
      "");
  ASSERT_EQ(snapshot->listeners.size(), 1u);
  EXPECT_TRUE(snapshot->listeners[0]->http_inspector);
  EXPECT_TRUE(snapshot->listeners[0]->http_inspector_off.contains(80));
  (void)say(Type::kExtensions, {extension("f", any(kTlsInspector, ""))});
  EXPECT_FALSE(snapshot->listeners[0]->http_inspector);
  EXPECT_TRUE(snapshot->listeners[0]->tls_inspector_off.contains(80));
  EXPECT_FALSE(snapshot->listeners[0]->tls_inspector_off.contains(81));
}

TEST_F(ExtensionBuild, RefusesSourcesThatCannotBe) {
  const auto wrong = [this](std::string_view filters) {
    return say(Type::kListeners, {listener("in", 1001, filters)});
  };
  EXPECT_THAT(wrong(discovered("http.lua.v3.Lua")),
              HasSubstr("known to Envoy v3 but not supported by Pillion yet"));
  EXPECT_THAT(wrong(discovered("http.router.v3.Router")), HasSubstr("unknown HTTP filter"));
  EXPECT_THAT(wrong(discovered(kFault, R"(,"apply_default_config_without_warming":true)")),
              HasSubstr("needs default_config"));
  EXPECT_THAT(wrong(discovered(kFault, str(R"(,"default_config":)", any(kBuffer, "")))),
              HasSubstr("expected one of type_urls"));
  EXPECT_THAT(wrong(R"({"name":"f","config_discovery":{"config_source":{"ads":{}}}},)"),
              HasSubstr("type_urls: expected at least one type"));
  EXPECT_THAT(wrong(discovered() + discovered()), HasSubstr("is called \"f\" already"));
}

}  // namespace
}  // namespace pillion::testing
