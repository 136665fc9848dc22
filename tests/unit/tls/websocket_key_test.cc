#include "proxy/tls/websocket_key.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace pillion::tls {
namespace {

TEST(WebSocketKey, IsAnsweredAsInRfc6455) {
  char accept[kWebSocketAcceptBytes];
  write_websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", accept);
  EXPECT_EQ(std::string(accept, sizeof accept), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocketKey, IsSixteenRandomBytesInBase64) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    std::string key(kWebSocketKeyBytes, '\0');
    write_websocket_key(key.data());
    EXPECT_EQ(
        key.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"),
        22u)
        << key;
    EXPECT_TRUE(key.ends_with("==")) << key;
    EXPECT_TRUE(seen.insert(key).second) << key;
  }
}

}  // namespace
}  // namespace pillion::tls
