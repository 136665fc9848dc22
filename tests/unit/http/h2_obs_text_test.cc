// Http2ProtocolOptions.disallow_obs_text, of clients and of upstreams.
#include "tests/unit/http/h2_client_fixture.h"
#include "tests/unit/http/h2_server_fixture.h"

namespace pillion::http {
namespace {

using testing::headers;
using testing::literal;
using testing::request_block;

TEST_F(H2ServerTest, TakesBytesAboveAsciiUnlessConfigured) {
  greet();
  send(headers(1, request_block() + literal("x", "caf\xc3\xa9")));
  EXPECT_NE(noted().find("head GET"), std::string::npos);
  limits.disallow_obs_text = true;
  send(headers(3, request_block() + literal("x", "caf\xc3\xa9")));
  EXPECT_NE(noted().find("failed kH2Malformed"), std::string::npos);
  EXPECT_EQ(received(), "HEADERS 1; DATA 1 2 end; RST_STREAM 3 error 1; ");
  send(headers(5, request_block() + literal("x", "caf")));
  EXPECT_NE(noted().find("head GET"), std::string::npos);
}

TEST_F(H2ClientTest, TakesBytesAboveAsciiUnlessConfigured) {
  open();
  Exchange& a = get();
  peer->head(0, {{":status", "200"}, {"x", "caf\xc3\xa9"}}, true);
  turn();
  EXPECT_EQ(a.log, "head 200 end; ");
  limits.disallow_obs_text = true;
  Exchange& b = get();
  peer->head(1, {{":status", "200"}, {"x", "caf\xc3\xa9"}}, true);
  turn();
  EXPECT_EQ(b.log, "reset kUpstreamProtocol; ");
  EXPECT_TRUE(has_event(ClientConnection::Event::kMalformed));
}

}  // namespace
}  // namespace pillion::http
