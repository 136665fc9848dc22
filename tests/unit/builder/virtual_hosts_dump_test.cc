// A route table as /config_dump shows it: with its virtual hosts by VHDS, as they count.
#include "proxy/builder/virtual_hosts_dump.h"

#include <gmock/gmock.h>

#include "proxy/admin/config_json.h"
#include "tests/support/build_test.h"

namespace pillion::testing {
namespace {

constexpr std::string_view kVhds = R"("vhds":{"config_source":{"ads":{}}},)";

class VirtualHostsDump : public XdsBuildTest {
 protected:
  void SetUp() override {
    XdsBuildTest::SetUp();
    EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_rds("r"))}), "");
    EXPECT_EQ(say(Type::kRoutes,
                  {resource_json("r", str(kVhds, R"("virtual_hosts":[)",
                                          virtual_host_json("own", R"(own.com","own.net)", "a"),
                                          R"(],"max_direct_response_body_size_bytes":100)"))}),
              "");
  }
  // "own: own.com own.net; x: x.com" of the table that is shown; "as it came".
  std::string shown() const {
    const auto make = document_with_hosts(*snapshot->resources, "r");
    if (make == nullptr) return "as it came";
    const auto document = make();
    if (document == nullptr) return "nothing";
    config::Errors errors;
    const config::Node root = document->root(errors);
    EXPECT_EQ(root["name"].as_string(), "r");
    EXPECT_TRUE(root.has("vhds"));
    EXPECT_EQ(root["max_direct_response_body_size_bytes"].as_u32(), 100u);
    std::string out;
    for (const config::Node host : root["virtual_hosts"].items()) {
      out += str(out.empty() ? "" : "; ", host["name"].as_string(), ':');
      for (const config::Node domain : host["domains"].items()) out += str(' ', domain.as_string());
      EXPECT_EQ(host["routes"].size(), 1u);
      EXPECT_FALSE(host.has("@type"));
    }
    return out;
  }
};

TEST_F(VirtualHostsDump, IsOfTablesWithSuchHostsAlone) {
  EXPECT_EQ(say(Type::kVirtualHosts, {}), "");
  EXPECT_EQ(shown(), "as it came");
  EXPECT_EQ(document_with_hosts(*snapshot->resources, "other"), nullptr);
}

TEST_F(VirtualHostsDump, HasThemBehindTheTablesOwn) {
  EXPECT_EQ(say(Type::kVirtualHosts, {{"r/x.com", virtual_host_json("x", "x.com", "b")},
                                      {"r/y.com", virtual_host_json("y", "y.com", "c")}}),
            "");
  EXPECT_EQ(shown(), "own: own.com own.net; x: x.com; y: y.com");
  EXPECT_EQ(remove(Type::kVirtualHosts, {"r/x.com"}), "");
  EXPECT_EQ(shown(), "own: own.com own.net; y: y.com");
}

TEST_F(VirtualHostsDump, LeavesOutDomainsThatTheTableHasItself) {
  EXPECT_EQ(say(Type::kVirtualHosts, {{"r/x", virtual_host_json("x", R"(Own.COM","x.com)", "b")},
                                      {"r/all", virtual_host_json("all of it", "own.net", "b")}}),
            "");
  EXPECT_EQ(shown(), "own: own.com own.net; x: x.com") << "as requests find it";
  EXPECT_EQ(target("own.com"), "a");
}

TEST_F(VirtualHostsDump, IsOfTheSnapshotItWasMadeOf) {
  EXPECT_EQ(say(Type::kVirtualHosts, {{"r/x", virtual_host_json("x", "x.com", "b")}}), "");
  const auto make = document_with_hosts(*snapshot->resources, "r");
  EXPECT_EQ(remove(Type::kVirtualHosts, {"r/x"}), "");
  snapshot = nullptr;
  job.previous = nullptr;
  ASSERT_NE(make, nullptr);
  EXPECT_NE(make(), nullptr) << "a page is written while the configuration changes";
}

}  // namespace
}  // namespace pillion::testing
