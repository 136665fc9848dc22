#include "proxy/admin/server_stats.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "proxy/base/str.h"
#include "proxy/io/poller.h"
#include "proxy/stats/exposition.h"
#include "tests/unit/admin/fake_server.h"

namespace pillion::admin {
namespace {

using namespace std::chrono_literals;

TEST(ServerStats, AreReadWhenSomebodyScrapes) {
  stats::Registry registry;
  FakeServer server;
  keep_server_stats(registry, server, 2, 1002003);
  const auto inbound = registry.block<stats::ListenerStats>(0, "a");
  const auto outbound = registry.block<stats::ListenerStats>(1, "b");
  inbound->downstream_cx_active.add(3);
  outbound->downstream_cx_active.add(4);
  server.server_state = ServerState::kDraining;
  const std::string refused = str("server.epoll_refused: ", io::Poller::refusals() + 1, "\n");
  io::Poller::note_refusal(ENOSPC);

  std::string text;
  const auto source = stats::make_stats_text(registry, {}, stats::StatsFormat::kText);
  while (source->next(text)) {
  }
  for (const char* line :
       {"server.live: 0\n", "server.state: 1\n", "server.uptime: 53\n", "server.concurrency: 2\n",
        "server.version: 1002003\n", "server.total_connections: 7\n",
        "server.days_until_first_cert_expiring: 4294967295\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
  EXPECT_NE(text.find(refused), std::string::npos) << text;
  EXPECT_EQ(text.find("server.memory_physical_size: 0\n"), std::string::npos);
}

TEST(ServerStats, FindTheCertificateThatExpiresFirst) {
  const WallTime now(1795530067s);
  const auto expires_in = [now](auto left) {
    CertificateStatus c;
    c.expiration = now + left;
    return c;
  };
  EXPECT_EQ(days_until_first_expires({{{expires_in(240h)}, {expires_in(73h)}}}, now), 3);
  EXPECT_EQ(days_until_first_expires({{{expires_in(47h)}, {}}, {{}, {expires_in(73h)}}}, now), 1);
  EXPECT_EQ(days_until_first_expires({{{}, {expires_in(-500h)}}}, now), 0);
}

}  // namespace
}  // namespace pillion::admin
