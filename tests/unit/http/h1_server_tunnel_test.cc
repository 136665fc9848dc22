// Upgrades and CONNECT on a connection of a client.
#include "proxy/http/h1_server.h"
#include "tests/unit/http/server_fixture.h"

namespace pillion::http {
namespace {

const std::string kGet = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const std::string kUpgrade =
    "GET /u HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";

TEST_F(ServerTest, TunnelsCarryBytesThatCameEarlyInOrder) {
  answer = false;
  send(kUpgrade + "early ");
  EXPECT_EQ(noted(), "head GET /u; ");
  EXPECT_EQ(body, "") << "nothing may pass before the upstream has switched (CVE-2025-64763)";
  server->begin_tunnel();
  ResponseHead* h = response(101);
  h->framing = Framing::kNone;
  h->upgrade = "x";
  server->send_head(*h, false);
  end_of_server->inject("late");
  server->read_now();
  turn();
  EXPECT_EQ(body, "early late");
  EXPECT_EQ(received(),
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
  server->send_body("down", false);
  batch.flush();
  turn();
  EXPECT_EQ(received(), "down");
  // The client's end passes through; the response may go on.
  end_of_server->inject("last");
  end_of_server->inject_fin();
  turn();
  EXPECT_EQ(body, "early latelast");
  EXPECT_EQ(noted(), "end; ");
  server->send_body("still", true);
  turn();
  EXPECT_EQ(received(), "still");
  EXPECT_EQ(noted(), "done; closed kNone; ");
}

TEST_F(ServerTest, EarlyTunnelBytesAndTheirEndKeepTheirOrder) {
  answer = false;
  send(kUpgrade);
  end_of_server->inject("early");
  turn();
  server->begin_tunnel();
  ResponseHead* h = response(101);
  h->upgrade = "x";
  server->send_head(*h, false);
  end_of_server->inject_fin();
  server->read_now();
  turn();
  EXPECT_EQ(body, "early");
  EXPECT_EQ(noted(), "head GET /u; end; ");
}

TEST_F(ServerTest, ARefusedUpgradeGoesOnAsHttpButARefusedConnectEnds) {
  answer = false;
  send(kUpgrade);
  reply(403, "no");
  answer = true;
  send(kGet);
  EXPECT_EQ(noted(), "head GET /u; done reusable; head GET /a end; done reusable; ");
  received();
  answer = false;
  send("CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\n\r\n" + kGet);
  reply(403, "no");
  turn();
  EXPECT_EQ(streams, 3) << "what follows was meant for the tunnel";
  EXPECT_NE(received().find("connection: close"), std::string::npos);
}

}  // namespace
}  // namespace pillion::http
