#include "xds/discovery_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/base/protobuf_wire.h"
#include "proxy/base/str.h"
#include "xds/reflect.h"

namespace pillion::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr std::string_view kCluster = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

// A DeltaDiscoveryResponse or, as the wrappers of a DiscoveryResponse, the same resources.
std::string message(bool is_delta, std::string_view resources, std::string_view more = {}) {
  const Result<std::string> bytes =
      encode(is_delta ? "envoy.service.discovery.v3.DeltaDiscoveryResponse"
                      : "envoy.service.discovery.v3.DiscoveryResponse",
             str(R"({"nonce":"n","type_url":")", kCluster, R"(","resources":[)", resources, ']',
                 more, '}'));
  EXPECT_TRUE(bytes) << bytes.error();
  return bytes ? *bytes : std::string();
}

std::string wrapper(bool is_delta, std::string_view fields) {
  return str(
      '{', is_delta ? "" : R"("@type":"type.googleapis.com/envoy.service.discovery.v3.Resource",)",
      fields, '}');
}

std::string body(std::string_view name) {
  return str(R"("resource":{"@type":")", kCluster, R"(","name":")", name, R"("})");
}

Result<Response> decode(bool is_delta, std::string_view bytes) {
  return is_delta ? decode_delta_response(bytes) : decode_response(bytes);
}

TEST(DiscoveryMessage, UnwrapsResourcesInBothProtocols) {
  for (const bool is_delta : {true, false}) {
    const auto response = decode(
        is_delta,
        message(is_delta, wrapper(is_delta, str(R"("name":"a","version":"1","aliases":["x","y"],)"
                                                R"("ttl":"1.5s",)",
                                                body("a"))) +
                              "," + wrapper(is_delta, body("b")) + "," +
                              wrapper(is_delta, R"("name":"c","ttl":"3s")")));
    ASSERT_TRUE(response) << response.error();
    EXPECT_EQ(response->wrong, "");
    EXPECT_EQ(response->is_delta, is_delta);
    ASSERT_EQ(response->resources.size(), 3u);
    const Resource& first = response->resources[0];
    EXPECT_EQ(first.name, "a");
    EXPECT_EQ(first.version, "1");
    EXPECT_THAT(first.aliases, ElementsAre("x", "y"));
    EXPECT_EQ(first.ttl, 1500ms);
    EXPECT_TRUE(first.has_body);
    EXPECT_EQ(response->resources[1].name, "b") << "its own";
    EXPECT_FALSE(response->resources[2].has_body);
    EXPECT_EQ(response->resources[2].ttl, 3s);
  }
}

TEST(DiscoveryMessage, ReadsWhatIsRemovedAndWhatIsInError) {
  const std::string errors =
      R"(,"resource_errors":[{"resource_name":{"name":"e"},"error_detail":{"message":"gone"}}])";
  const auto delta = decode(true, message(true, "", R"(,"removed_resources":["r","s"])" + errors));
  ASSERT_TRUE(delta);
  EXPECT_THAT(delta->removed, ElementsAre("r", "s"));
  ASSERT_EQ(delta->errors.size(), 1u);
  EXPECT_EQ(delta->errors[0].name, "e");
  EXPECT_EQ(delta->errors[0].reason, "gone");
  const auto sotw = decode(false, message(false, "", errors));
  ASSERT_TRUE(sotw);
  ASSERT_EQ(sotw->errors.size(), 1u);
  EXPECT_EQ(sotw->errors[0].name, "e");
}

TEST(DiscoveryMessage, TellsWhatIsWrongWithAllOfIt) {
  const std::pair<std::string, const char*> cases[] = {
      {R"("name":"a",)" + body("b"), "it is called \"a\", and \"b\" in itself"},
      {R"("version":"1")", "there is neither a name nor a resource"},
      {R"("name":"a","ttl":"0s",)" + body("a"), "ttl: expected more than 0s"},
      {R"("name":"a","ttl":"-1s",)" + body("a"), "ttl: expected more than 0s"},
      {R"("name":"xdstp://x/y")", "xdstp:// names are not supported"},
      {R"("name":"a","resource":{"@type":"type.googleapis.com/envoy.config.listener.v3.Listener"})",
       "expected a envoy.config.cluster.v3.Cluster, got"},
  };
  for (const bool is_delta : {true, false}) {
    for (const auto& [fields, wrong] : cases) {
      const auto response = decode(is_delta, message(is_delta, wrapper(is_delta, fields)));
      ASSERT_TRUE(response) << fields;
      EXPECT_THAT(response->wrong, HasSubstr(wrong)) << fields;
      EXPECT_TRUE(response->resources.empty());
    }
  }
}

TEST(DiscoveryMessage, IsRefusedWholeIfItCannotBeAnswered) {
  const std::string good = message(true, "");
  for (size_t size = 1; size < good.size(); ++size)
    (void)decode_delta_response(good.substr(0, size));
  std::string bad_nonce;
  wire::write_bytes(bad_nonce, 4, kCluster);
  wire::write_bytes(bad_nonce, 5, "\xff");
  for (const bool is_delta : {true, false}) EXPECT_FALSE(decode(is_delta, bad_nonce));
  std::string bad_name;
  wire::write_bytes(bad_name, 4, kCluster);
  std::string resource;
  wire::write_bytes(resource, 3, "\xff");
  wire::write_bytes(bad_name, 2, resource);
  EXPECT_THAT(decode_delta_response(bad_name)->wrong, HasSubstr("no UTF-8"));
}

TEST(DiscoveryMessage, HoldsABoundedNumberOfResources) {
  std::string bytes;
  wire::write_bytes(bytes, 4, kCluster);
  for (size_t i = 0; i < kMaxResources + 10; ++i) wire::write_item(bytes, 6, "r");
  const auto response = decode_delta_response(bytes);
  ASSERT_TRUE(response);
  EXPECT_THAT(response->wrong, HasSubstr("more than 200000 resources"));
  EXPECT_TRUE(response->removed.empty());
}

}  // namespace
}  // namespace pillion::xds
