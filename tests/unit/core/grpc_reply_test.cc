#include "proxy/core/grpc_reply.h"

#include <gtest/gtest.h>

namespace pillion::core {
namespace {

TEST(GrpcReply, MapsTheStatusAndEncodesTheText) {
  const std::pair<uint16_t, std::string_view> cases[] = {
      {400, "13"}, {401, "16"}, {403, "7"},  {404, "12"}, {429, "14"},
      {502, "14"}, {503, "14"}, {504, "14"}, {413, "2"},  {500, "2"}};
  for (const auto& [status, expected] : cases) {
    Arena arena;
    http::Headers headers(arena);
    LocalReplyText reply{status, "100% of \xc3\xa4\n", "text/plain"};
    make_grpc_reply(headers, reply);
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, "");
    EXPECT_EQ(headers.get(http::HeaderId::kGrpcStatus), expected) << status;
    EXPECT_EQ(headers.get(http::HeaderId::kGrpcMessage), "100%25 of %C3%A4");
    EXPECT_EQ(headers.get(http::HeaderId::kContentType), "application/grpc");
  }
}

TEST(GrpcReply, HasNoMessageWithoutAText) {
  Arena arena;
  http::Headers headers(arena);
  LocalReplyText reply{404, "", "text/plain"};
  make_grpc_reply(headers, reply);
  EXPECT_FALSE(headers.has(http::HeaderId::kGrpcMessage));
}

}  // namespace
}  // namespace pillion::core
