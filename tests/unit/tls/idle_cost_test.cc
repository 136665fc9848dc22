// What an idle connection costs in memory: no slab, no buffer of the Channel, a small session.
#include <malloc.h>

#include "tests/unit/tls/transport_fixture.h"

namespace pillion::tls {
namespace {

class IdleCost : public TransportTest {
 protected:
  static size_t heap_in_use() {
    Slab::trim_free_list(0);
    return mallinfo2().uordblks;
  }
  enum class Tickets : uint8_t { kNone, kIssued };
  // Bytes of a server's end, the mean of many, with the FakeTransport taken off.
  void measure(Version version, Tickets tickets, size_t limit, const char* name) {
    if (heap_in_use() == 0) GTEST_SKIP() << "a sanitizer's allocator does not tell what is in use";
    ContextConfig server_side = server_config();
    ContextConfig client_side = client_config();
    if (tickets == Tickets::kIssued)
      server_side.ticket_keyring = TicketKeyring::own(std::chrono::hours(2));
    server_side.min_version = client_side.min_version = client_side.max_version = version;
    const auto server_context = context(server_side);
    const auto client_context = context(client_side);
    constexpr size_t kCount = 100;
    std::vector<std::unique_ptr<TlsPeer>> servers;
    std::vector<std::unique_ptr<TlsPeer>> clients;
    servers.reserve(kCount + 1);
    clients.reserve(kCount + 1);
    for (size_t i = 0; i <= kCount; ++i) {
      auto ends = pillion::testing::FakeTransport::make_pair(loop);
      servers.push_back(std::make_unique<TlsPeer>(loop, std::move(ends.second), server_context));
      // Each with a name of its own, so that none resumes: a ClientHello with a ticket is longer,
      // and the FakeTransport's buffer keeps the size.
      const std::string sni = std::to_string(i);
      clients.push_back(std::make_unique<TlsPeer>(loop, std::move(ends.first), client_context,
                                                  TlsTransport::Options{.sni = sni}));
      servers.back()->start();
      clients.back()->start();
      ASSERT_TRUE(until_done(*servers.back(), *clients.back()));
      clients.back()->send("GET / HTTP/1.1\r\n\r\n");
      ASSERT_TRUE(run_until(loop, [&] { return !servers.back()->received.empty(); }));
      servers.back()->send("HTTP/1.1 200 OK\r\n\r\n");
      ASSERT_TRUE(run_until(loop, [&] { return !clients.back()->received.empty(); }));
    }
    EXPECT_EQ(Slab::live(), 0) << "an idle connection holds no slab";
    // What destroying the transports of the servers gives back.
    const size_t with_all = heap_in_use();
    for (size_t i = 1; i <= kCount; ++i) servers[i]->transport.reset();
    const size_t lower = sizeof(pillion::testing::FakeTransport) + 16;
    const size_t cost = (with_all - heap_in_use()) / kCount - lower;
    RecordProperty(name, static_cast<int>(cost));
    printf("idle %s server connection: %zu bytes (TlsTransport %zu, limit %zu)\n", name, cost,
           sizeof(TlsTransport), limit);
    EXPECT_LE(cost, limit);
  }
  bool until_done(TlsPeer& a, TlsPeer& b) {
    return run_until(loop, [&] { return a.connected && b.connected; });
  }
};

// With tickets, as it is by default, the client's chain stays; here all show the same one.
TEST_F(IdleCost, OfTls13) { measure(Version::kTls13, Tickets::kIssued, 8192, "TLS 1.3"); }
TEST_F(IdleCost, OfTls12) { measure(Version::kTls12, Tickets::kIssued, 8192, "TLS 1.2"); }
TEST_F(IdleCost, OfTls13WithoutTickets) {
  measure(Version::kTls13, Tickets::kNone, 8192, "TLS 1.3 without tickets");
}

}  // namespace
}  // namespace pillion::tls
