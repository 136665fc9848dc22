#include "proxy/http/grpc.h"

#include <gtest/gtest.h>

namespace pillion::http {
namespace {

TEST(Grpc, KnowsACallByItsContentType) {
  const std::pair<std::string_view, bool> cases[] = {
      {"application/grpc", true},           {"application/grpc+proto", true},
      {"application/grpc;charset=x", true}, {"application/grpc-web", false},
      {"application/grpcx", false},         {"application/json", false},
      {"application/grp", false},           {"", false}};
  for (const auto& [type, expected] : cases) {
    Arena arena;
    Headers request(arena);
    request.add(HeaderId::kContentType, type);
    EXPECT_EQ(is_grpc(request), expected) << type;
  }
}

TEST(Grpc, HasAStatusOfHttpForEachOfItsOwnAndTheOtherWayAround) {
  EXPECT_EQ(http_status_of_grpc(0), 200);
  EXPECT_EQ(http_status_of_grpc(1), 499);
  EXPECT_EQ(http_status_of_grpc(14), 503);
  EXPECT_EQ(http_status_of_grpc(16), 401);
  EXPECT_EQ(http_status_of_grpc(17), 500);
  EXPECT_EQ(http_status_of_grpc(UINT64_MAX), 500);
  EXPECT_EQ(grpc_status_of_http(400), 13u);
  EXPECT_EQ(grpc_status_of_http(401), 16u);
  EXPECT_EQ(grpc_status_of_http(403), 7u);
  EXPECT_EQ(grpc_status_of_http(404), 12u);
  EXPECT_EQ(grpc_status_of_http(503), 14u);
  EXPECT_EQ(grpc_status_of_http(418), 2u);
}

}  // namespace
}  // namespace pillion::http
