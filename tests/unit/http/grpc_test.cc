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
  EXPECT_EQ(http_status_of_grpc(INT64_MAX), 500);
  EXPECT_EQ(http_status_of_grpc(-1), 500);
  EXPECT_EQ(grpc_status_of_http(400), 13u);
  EXPECT_EQ(grpc_status_of_http(401), 16u);
  EXPECT_EQ(grpc_status_of_http(403), 7u);
  EXPECT_EQ(grpc_status_of_http(404), 12u);
  EXPECT_EQ(grpc_status_of_http(503), 14u);
  EXPECT_EQ(grpc_status_of_http(418), 2u);
  EXPECT_EQ(grpc_status_text(401), "16");
  EXPECT_EQ(grpc_status_text(200), "2");
}

TEST(Grpc, ReadsAStatus) {
  const std::pair<std::string_view, std::optional<int64_t>> cases[] = {
      {"0", 0},           {"16", 16}, {"99", 99}, {"4294967295", 4294967295},
      {"4294967296", -1}, {"-1", -1}, {"x", -1},  {"", -1},
      {"1 ", -1},         {"+1", -1}};
  for (const auto& [text, expected] : cases) {
    Arena arena;
    Headers fields(arena);
    EXPECT_EQ(grpc_status(fields), std::nullopt);
    fields.add(HeaderId::kGrpcStatus, text);
    EXPECT_EQ(grpc_status(fields), expected) << text;
  }
}

TEST(Grpc, TheStatusOfTrailersCountsMoreThanTheHeads) {
  Arena arena;
  Headers head(arena);
  Headers trailers(arena);
  EXPECT_EQ(grpc_status(head, nullptr), std::nullopt);
  head.add(HeaderId::kGrpcStatus, "3");
  EXPECT_EQ(grpc_status(head, nullptr), 3);
  EXPECT_EQ(grpc_status(head, &trailers), 3);
  trailers.add(HeaderId::kGrpcStatus, "0");
  EXPECT_EQ(grpc_status(head, &trailers), 0);
}

}  // namespace
}  // namespace pillion::http
