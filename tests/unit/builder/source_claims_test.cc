// One name that is asked of two sources: the second place is refused, by name.
#include "proxy/builder/source_claims.h"

#include <gmock/gmock.h>

#include "tests/support/build_test.h"

namespace pillion::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::string_view kAds = R"({"ads":{}})";
constexpr std::string_view kFile = R"({"path_config_source":{"path":"/f.yaml"}})";

std::string eds(std::string_view name, std::string_view source,
                std::string_view service = "users") {
  return resource_json(name, str(R"("type":"EDS","eds_cluster_config":{"service_name":")", service,
                                 R"(","eds_config":)", source, "}"));
}
std::string listener(std::string_view name, int port, std::string_view source) {
  return listener_json(name, port, by_rds("r", source));
}

using SourceClaims = XdsBuildTest;

TEST_F(SourceClaims, EndpointsOfOneNameHaveOneSource) {
  EXPECT_EQ(say(Type::kClusters, {eds("a", kAds), eds("b", kAds)}), "");
  EXPECT_THAT(say(Type::kClusters, {eds("a", kAds), eds("b", kFile)}),
              HasSubstr("cds/b: eds/users is asked of ads already: a name has one source"));
  EXPECT_EQ(snapshot->resources->clusters.find("b")->second.newest->config->eds_source, nullptr)
      << "it stays as it was";
  // Both together may change it, and other names are others.
  EXPECT_EQ(say(Type::kClusters, {eds("a", kFile), eds("b", kFile)}), "");
  EXPECT_EQ(say(Type::kClusters, {eds("a", kFile), eds("c", kAds, "other")}), "");
  // Who leaves makes room.
  EXPECT_EQ(say(Type::kClusters, {eds("d", kAds)}), "");
}

TEST_F(SourceClaims, RouteTablesOfOneNameHaveOneSource) {
  EXPECT_EQ(say(Type::kListeners, {listener("a", 1001, kFile)}), "");
  EXPECT_THAT(say(Type::kListeners, {listener("a", 1001, kFile), listener("b", 1002, kAds)}),
              HasSubstr("lds/b: rds/r is asked of the file /f.yaml already"));
  EXPECT_EQ(say(Type::kListeners, {listener("a", 1001, kFile), listener("b", 1002, kFile)}), "");
}

TEST_F(SourceClaims, OneListenerCannotAskTwo) {
  std::string two = listener("a", 1001, kFile);
  const std::string other = listener("x", 1, kAds);
  const std::string_view chain = R"({"filters":)";
  const std::string more = other.substr(other.find(chain), other.rfind(']') - other.find(chain));
  two.replace(two.rfind("]}"), 2, str(",", more, "]}"));
  EXPECT_THAT(say(Type::kListeners, {{"a", two}}),
              HasSubstr("lds/a: rds/r is asked of the file /f.yaml already"));
}

TEST_F(SourceClaims, OfTheFileAreRefusedWithTheirPlace) {
  const std::string ads = ads_bootstrap("id: n, cluster: c", "DELTA_GRPC");
  std::string bootstrap = ads;
  const size_t at = bootstrap.find("    - { name: xds");
  bootstrap.insert(at, str("    - ", eds("a", kAds), "\n    - ", eds("b", kFile), "\n"));
  EXPECT_THAT(refusal(bootstrap),
              AllOf(HasSubstr("static_resources.clusters[1].eds_cluster_config.eds_config: "),
                    HasSubstr("eds/users is asked of ads already")));
  // The control plane's come after the file's.
  bootstrap = ads;
  bootstrap.insert(at, str("    - ", eds("a", kAds), "\n"));
  start(bootstrap);
  EXPECT_THAT(say(Type::kClusters, {eds("b", kFile)}),
              HasSubstr("cds/b: eds/users is asked of ads already"));
}

}  // namespace
}  // namespace pillion::testing
