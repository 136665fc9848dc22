// What `pillion explain --admin` says of a proxy that runs, whose configuration came by xDS.
#include <gmock/gmock.h>

#include <algorithm>

#include "proxy/base/str.h"
#include "proxy/builder/assembly.h"
#include "proxy/cli/explain_parts.h"
#include "tests/support/xds_json.h"
#include "tests/unit/cli/explain_fixture.h"

namespace pillion::cli {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// A proxy that runs with the snapshot.
class FakeFacts final : public Facts {
 public:
  explicit FakeFacts(std::shared_ptr<const upstream::ClusterConfig> config)
      : config_(std::move(config)) {}
  void listener(std::string_view name, Lines& lines) override {
    lines.push_back(str("facts of listener ", name));
  }
  void routes(std::string_view name, Lines& lines) override {
    lines.push_back(str("facts of routes ", name));
  }
  void scope(std::string_view name, Lines& lines) override {
    lines.push_back(str("facts of scope ", name));
  }
  std::shared_ptr<const upstream::ClusterConfig> cluster(std::string_view name,
                                                         Lines& lines) override {
    lines.push_back(str("facts of cluster ", name));
    return config_;
  }
  bool hosts(std::string_view, Lines& lines) override {
    lines.push_back("host: live");
    return true;
  }
  void breakers(std::string_view cluster, Lines& lines) override {
    lines.push_back(str("breakers of ", cluster));
  }

 private:
  std::shared_ptr<const upstream::ClusterConfig> config_;
};

TEST(Explain, TellsWhatARunningProxyKnowsInItsPlace) {
  const auto snapshot = from_file("explicit_proxy.yaml");
  ASSERT_NE(snapshot, nullptr);
  FakeFacts facts(snapshot->clusters.front());
  const auto lines = explain(*snapshot, request("GET http://orders/orders/7"), &facts);
  ASSERT_TRUE(lines.has_value());
  const auto at = [&lines](std::string_view begin) {
    return std::ranges::find_if(
        *lines, [begin](const std::string& line) { return line.starts_with(begin); });
  };
  const auto listener = at("listener: ");
  const auto cluster = at("cluster: orders");
  ASSERT_NE(listener, lines->end());
  ASSERT_NE(cluster, lines->end());
  EXPECT_EQ(*(listener + 1), "facts of listener outbound");
  EXPECT_EQ(*(cluster + 1), "facts of cluster orders");
  EXPECT_EQ(*(cluster + 2), "host: live");
  EXPECT_EQ(lines->back(), "breakers of orders");
}

TEST(Explain, AClusterThatIsNotThereIsToldWithItsReasons) {
  const auto snapshot = from_file("explicit_proxy.yaml");
  ASSERT_NE(snapshot, nullptr);
  FakeFacts facts(nullptr);
  const auto lines = explain(*snapshot, request("GET http://orders/orders/7"), &facts);
  ASSERT_TRUE(lines.has_value());
  EXPECT_THAT(*lines, Contains("cluster: there is none called \"orders\""));
  EXPECT_EQ(lines->back(), "facts of cluster orders");
}

// What a running proxy has by xDS, put together as LiveProxy does.
class ExplainByXds : public ::testing::Test {
 protected:
  template <typename Add>
  void add(const std::string& json, Add&& add) {
    config::Errors errors;
    const auto document = config::load_text(json, "dump", errors);
    ASSERT_TRUE(errors.ok()) << errors.to_string();
    const Status<> added = add(document);
    ASSERT_TRUE(added) << added.error();
  }
  void add_routes(const std::string& json) {
    add(json, [this](const auto& document) { return assembly_.add_routes(document); });
  }
  void add_scope(const std::string& json) {
    add(json, [this](const auto& document) { return assembly_.add_scope(document); });
  }
  void add_listener(const std::string& json) {
    add(json, [this](const auto& document) { return assembly_.add_listener(document); });
  }
  // From the scope key, or the routes, on.
  std::vector<std::string> explained(std::string_view url, std::vector<std::string> headers = {}) {
    if (snapshot_ == nullptr) snapshot_ = assembly_.finish();
    ExplainRequest call = request(url);
    call.headers = std::move(headers);
    FakeFacts facts(nullptr);
    auto lines = explain(*snapshot_, call, &facts);
    EXPECT_TRUE(lines) << lines.error();
    if (!lines) return {};
    const auto begin = std::ranges::find_if(*lines, [](const std::string& line) {
      return line.starts_with("scope") || line.starts_with("routes");
    });
    return {begin, lines->end()};
  }

  static constexpr std::string_view kOnDemand =
      R"({"name":"od","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.http.)"
      R"(on_demand.v3.OnDemand"}},)";
  static constexpr std::string_view kVhds = R"("vhds":{"config_source":{"ads":{}}},)";

 private:
  Assembly assembly_{"node", "cluster"};
  std::shared_ptr<const Snapshot> snapshot_;
};

TEST_F(ExplainByXds, TellsTheKeyTheScopeAndItsTable) {
  add_routes(testing::routes_json("red-table", "red"));
  add_scope(testing::scope_json("red-scope", "r", "red-table"));
  add_listener(testing::listener_json("in", 1001, testing::by_srds()));
  EXPECT_THAT(
      explained("http://h/", {"x-scope: r"}),
      ElementsAre("scope key: \"r\" of x-scope", "scope: red-scope", "facts of scope red-scope",
                  "routes: red-table", "facts of routes red-table", HasSubstr("virtual host: all"),
                  HasSubstr("route 0: taken"), "action: forwards to cluster red", "timeout: 15s",
                  "retries: none", "cluster: there is none called \"red\"",
                  "facts of cluster red"));
  EXPECT_THAT(
      explained("http://h/", {"x-scope: b"}),
      ElementsAre("scope key: \"b\" of x-scope", "scope: none has this key; the answer is 404"));
  EXPECT_THAT(explained("http://h/"), ElementsAre("scope key: the request has no x-scope",
                                                  "scope: none has this key; the answer is 404"));
}

TEST_F(ExplainByXds, TellsOfATableThatHasNotCome) {
  add_scope(testing::scope_json("s", "1", "none"));
  add_listener(testing::listener_json("in", 1001, testing::by_srds()));
  EXPECT_THAT(
      explained("http://h/", {"x-scope: 1"}),
      ElementsAre("scope key: \"1\" of x-scope", "scope: s", "facts of scope s",
                  "routes: \"none\" have not come; the answer is 404", "facts of routes none"));
}

TEST_F(ExplainByXds, ATableOnDemandIsAskedForWhereTheFilterIs) {
  add_scope(testing::scope_json("s", "1", "lazy", true));
  add_listener(testing::listener_json("in", 1001, testing::by_srds(), {.http_filters = kOnDemand}));
  EXPECT_THAT(explained("http://h/", {"x-scope: 1"}),
              Contains("filter od: before that, the control plane is asked for the routes "
                       "\"lazy\" (RDS); the request waits for 5s at most"));
}

TEST_F(ExplainByXds, AVirtualHostOnDemandIsAskedForByItsName) {
  add_routes(testing::resource_json(
      "shop",
      str(kVhds, R"("virtual_hosts":[)", testing::virtual_host_json("own", "own.com", "c"), "]")));
  add_listener(
      testing::listener_json("in", 1001, testing::by_rds("shop"), {.http_filters = kOnDemand}));
  EXPECT_THAT(explained("http://Late.COM:81/"),
              ElementsAre("routes: shop", "facts of routes shop",
                          "virtual host: none has a domain for \"late.com:81\"; the answer is 404",
                          "filter od: before that, the control plane is asked for the virtual host "
                          "\"shop/late.com:81\" (VHDS); the request waits for 5s at most"));
  EXPECT_THAT(explained("http://own.com/"), Not(Contains(HasSubstr("filter od"))));
}

TEST_F(ExplainByXds, WithoutTheFilterNobodyIsAsked) {
  add_routes(testing::resource_json("shop", str(kVhds, R"("virtual_hosts":[])")));
  add_listener(testing::listener_json("in", 1001, testing::by_rds("shop")));
  EXPECT_THAT(explained("http://late.com/").back(), HasSubstr("the answer is 404"));
}

}  // namespace
}  // namespace pillion::cli
