// Clusters of a worker: picks, breakers, original destinations, and what a reload keeps.
#include "proxy/upstream/cluster.h"

#include <fcntl.h>

#include <algorithm>

#include "proxy/tls/issue.h"
#include "proxy/tls/tls_transport.h"
#include "tests/support/heap_bytes.h"
#include "tests/unit/upstream/pool_fixture.h"

namespace pillion::upstream {
namespace {

using std::chrono::milliseconds;
using ClusterTest = UpstreamTest;

TEST_F(ClusterTest, HasNoHostToGiveWhenThereIsNone) {
  Cluster& cluster = set(hosts_at({}));
  Failure failure;
  EXPECT_EQ(cluster.pick({}, &failure), nullptr);
  EXPECT_EQ(failure.kind, FailureKind::kNoHealthyUpstream);
  EXPECT_EQ(failure.row().flag, "UH");
  EXPECT_EQ(stats->upstream_cx_none_healthy.value(), 1u);
}

TEST_F(ClusterTest, CountsRequestsAgainstTheirLimit) {
  config->pool->limits.max_requests = 2;
  Cluster& cluster = set(hosts_at({}));
  EXPECT_TRUE(cluster.begin_request());
  EXPECT_TRUE(cluster.begin_request());
  EXPECT_FALSE(cluster.begin_request());
  EXPECT_EQ(stats->upstream_rq_active_overflow.value(), 1u);
  EXPECT_EQ(stats->upstream_rq_pending_overflow.value(), 0u);
  EXPECT_EQ(stats->upstream_rq_active.value(), 2);
  cluster.end_request();
  EXPECT_TRUE(cluster.begin_request());
  cluster.end_request();
  cluster.end_request();
  EXPECT_EQ(stats->upstream_rq_active.value(), 0);
}

TEST_F(ClusterTest, KnowsOnlyTheNamesThatWereSet) {
  EXPECT_EQ(clusters.find("c"), nullptr);
  set(hosts_at({}));
  EXPECT_NE(clusters.find("c"), nullptr);
  EXPECT_EQ(clusters.find("d"), nullptr);
  clusters.set_hosts("d", hosts_at({}));
  clusters.remove("c");
  EXPECT_EQ(clusters.find("c"), nullptr);
}

TEST_F(ClusterTest, KeepsHostsAndConnectionsWhenOnlyPolicyChanges) {
  Backend backend;
  const HostSetPtr hosts = hosts_at({backend.address});
  Cluster* before = &set(hosts);
  Host* host = &use(*before);
  Conn conn = warm_up(backend, host->pool());

  config->pool->max_requests_per_connection = 2;
  config->pool->connect_timeout = milliseconds(1);
  config->balancer.group.policy = BalancePolicy::kRandom;
  EXPECT_EQ(&set(hosts), before);
  EXPECT_EQ(before->hosts()[0].get(), host);
  EXPECT_TRUE(conn.is_open());
  Request request;
  request.start(host->pool());
  ASSERT_TRUE(request.is_ready()) << "the connection of before the reload";
  run_for(loop, milliseconds(1));
  finish(conn, request);
  EXPECT_TRUE(conn.is_closed()) << "the limit of after the reload";
  EXPECT_EQ(stats->upstream_cx_max_requests.value(), 1u);
}

TEST_F(ClusterTest, ShortensTheIdleTimeoutOfConnectionsThatAreIdleAlready) {
  Backend backend;
  const HostSetPtr hosts = hosts_at({backend.address});
  Pool& pool = use(set(hosts)).pool();
  Conn conn = warm_up(backend, pool);
  config->pool->idle_timeout = milliseconds(30);
  set(hosts);
  EXPECT_TRUE(run_until(loop, [&] { return pool.is_empty(); }));
}

TEST_F(ClusterTest, ServesWaitersOverAReload) {
  Backend backend;
  const HostSetPtr hosts = hosts_at({backend.address});
  Pool& pool = use(set(hosts)).pool();
  Request request;
  request.start(pool);
  config->pool->limits.max_pending = 0;
  set(hosts);
  ASSERT_TRUE(run_until(loop, [&] { return request.is_ready(); }));
  EXPECT_EQ(config->limits->pending.used(), 0);
  request.stream->reset();
}

TEST_F(ClusterTest, DrainsWhenConnectionsCannotServeTheNewConfiguration) {
  Backend backend;
  const HostSetPtr hosts = hosts_at({backend.address});
  const Ref<Cluster> before(&set(hosts));
  Ref<Host> host(&use(*before));
  Conn idle = warm_up(backend, host->pool());
  Request busy;
  busy.start(host->pool());
  Request other;
  other.start(host->pool());
  ASSERT_TRUE(run_until(loop, [&] { return busy.is_ready() && other.is_ready(); }));

  config->connection_hash = 1;
  Cluster& after = set(hosts);
  EXPECT_NE(&after, before.get());
  EXPECT_NE(after.hosts()[0].get(), host.get());
  run_for(loop, milliseconds(1));
  finish(idle, busy);
  EXPECT_TRUE(idle.is_closed()) << "it is not kept after its exchange";
  EXPECT_FALSE(other.reset) << "but what runs goes on";
  other.stream->reset();
  EXPECT_TRUE(host->pool().is_empty());
}

TEST_F(ClusterTest, ReplacesTheClusterWhenItsLimitsAreOthers) {
  const Ref<Cluster> before(&set(hosts_at({})));  // held, so that its address is not used again
  auto other = std::make_shared<ClusterConfig>(*config);
  other->limits = LimitsRef();
  other->hash = 99;
  clusters.set({other, hosts_at({})});
  EXPECT_NE(clusters.find("c"), before.get());
}

TEST_F(ClusterTest, KeepsConnectionsOfHostsThatStayAndEndsThoseOfHostsThatGo) {
  Backend a, b;
  const HostSetPtr both = hosts_at({a.address, b.address});
  Cluster& cluster = set(both);
  Host* first = &use(cluster);
  Conn to_a = warm_up(a, first->pool());
  Ref<Host> second(&use(cluster, 1));
  Conn to_b = warm_up(b, second->pool());
  Request busy;
  busy.start(second->pool());

  clusters.set_hosts("c", hosts_at({a.address}, both));
  ASSERT_EQ(cluster.host_count(), 1u);
  EXPECT_EQ(cluster.hosts()[0].get(), first);
  EXPECT_TRUE(to_a.is_open());
  run_for(loop, milliseconds(1));
  finish(to_b, busy);
  EXPECT_TRUE(to_b.is_closed());
  EXPECT_TRUE(second->pool().is_empty());
}

TEST_F(ClusterTest, ClosesTheConnectionsOfAHostThatNobodyHolds) {
  Backend a;
  set(hosts_at({a.address}));
  Conn conn = warm_up(a, use(*clusters.find("c")).pool());
  clusters.set_hosts("c", hosts_at({}));
  EXPECT_TRUE(conn.is_closed());
}

// A worker looks at all endpoints of a cluster when it calls it first, but calls few of them.
TEST_F(ClusterTest, AHostThatNobodyCallsHasNoPoolAndNoCounters) {
  constexpr uint32_t kHosts = 2000;
  std::vector<io::Address> addresses;
  for (uint32_t i = 0; i < kHosts; ++i) addresses.push_back(io::Address::ipv4(0x0a000000 + i, 80));
  const HostSetPtr hosts = hosts_at(addresses);
  const size_t before = testing::heap_bytes();
  Cluster& cluster = set(hosts);
  // The object, its place in the list and in the balancing.
  EXPECT_LT((testing::heap_bytes() - before) / kHosts, 140u);
  Failure failure;
  const Host* picked = cluster.pick({}, &failure);
  EXPECT_TRUE(picked->is_in_use());
  EXPECT_EQ(std::ranges::count_if(cluster.hosts(), [](const auto& h) { return h->is_in_use(); }),
            1);
}

// Whether it was usable is said by the configuration of now.
TEST_F(ClusterTest, ClosesIdleConnectionsOfAHostThatFailsAfterItsChecksCameBack) {
  Backend backend;
  const HostSetPtr hosts = hosts_at({backend.address});
  config->health = std::make_shared<SharedHealth>();
  const auto checks = std::make_shared<HealthCheckOptions>();
  const auto health = config->health->of(hosts->hosts[0]->id);
  const auto fails = [&](bool does) {
    does ? health->set(kFailedActive) : health->clear(kFailedActive);
    clusters.update_health("c");
  };
  config->health_check = checks;
  set(hosts);
  fails(true);
  config->health_check = nullptr;
  set(hosts);
  Conn conn = warm_up(backend, use(*clusters.find("c")).pool());
  health->clear(kFailedActive);
  config->health_check = checks;
  set(hosts);
  EXPECT_TRUE(conn.is_open());
  fails(true);
  EXPECT_TRUE(conn.is_closed());
}

TEST_F(ClusterTest, ClosesIdleConnectionsOfAHostThatTheNewConfigurationKnowsToFail) {
  Backend backend;
  const HostSetPtr hosts = hosts_at({backend.address});
  config->health = std::make_shared<SharedHealth>();
  Conn conn = warm_up(backend, use(set(hosts)).pool());
  config->health->of(hosts->hosts[0]->id)->set(kFailedActive);
  config->health_check = std::make_shared<HealthCheckOptions>();
  set(hosts);
  EXPECT_TRUE(conn.is_closed());
}

class OriginalDstTest : public UpstreamTest {
 protected:
  OriginalDstTest() { config->type = DiscoveryType::kOriginalDst; }
  Host* pick(Cluster& cluster, std::string_view ip, uint16_t port) {
    const io::Address to = ip.empty() ? io::Address{} : *io::Address::parse_ip(ip, port);
    failure = {};
    return cluster.pick({nullptr, &to, &own}, &failure);
  }
  std::vector<io::Address> own{*io::Address::parse_ip("0.0.0.0", 15001),
                               *io::Address::parse_ip("127.0.0.1", 15006)};
  Failure failure;
};

TEST_F(OriginalDstTest, GoesWhereTheClientMeantToGo) {
  Cluster& cluster = set(nullptr);
  Host* host = pick(cluster, "10.1.2.3", 80);
  ASSERT_NE(host, nullptr);
  EXPECT_EQ(host->address().to_string(), "10.1.2.3:80");
  EXPECT_EQ(pick(cluster, "10.1.2.3", 80), host);
  EXPECT_NE(pick(cluster, "10.1.2.3", 81), host);
}

TEST_F(OriginalDstTest, RefusesToConnectToItself) {
  const struct {
    const char* ip;
    uint16_t port;
    bool is_self;
  } rows[] = {
      {"127.0.0.1", 15001, true},  {"127.5.5.5", 15001, true}, {"0.0.0.0", 15001, true},
      {"127.0.0.1", 15006, true},  {"0.0.0.0", 15006, true},   {"127.0.0.2", 15006, false},
      {"192.0.2.1", 15001, false}, {"127.0.0.1", 80, false},
  };
  Cluster& cluster = set(nullptr);
  uint64_t refused = 0;
  for (const auto& row : rows) {
    EXPECT_EQ(pick(cluster, row.ip, row.port) == nullptr, row.is_self) << row.ip << ':' << row.port;
    EXPECT_EQ(failure.kind == FailureKind::kOriginalDstIsSelf, row.is_self);
    EXPECT_EQ(stats->original_dst_is_self.value(), refused += row.is_self);
  }
}

TEST_F(OriginalDstTest, RefusesWhatIsNoAddress) {
  Cluster& cluster = set(nullptr);
  EXPECT_EQ(pick(cluster, "", 0), nullptr);
  EXPECT_EQ(failure.kind, FailureKind::kNoHealthyUpstream);
  EXPECT_EQ(cluster.pick({}, &failure), nullptr);
  EXPECT_EQ(stats->original_dst_host_invalid.value(), 2u);
}

TEST_F(OriginalDstTest, ReplacesThePort) {
  config->original_dst_port = 9000;
  EXPECT_EQ(pick(set(nullptr), "10.1.2.3", 80)->address().to_string(), "10.1.2.3:9000");
}

TEST_F(OriginalDstTest, ForgetsHostsThatAreNotUsed) {
  config->cleanup_interval = milliseconds(30);
  config->pool->idle_timeout = milliseconds(200);
  Backend backend;
  Cluster& cluster = set(nullptr);
  const Ref<Host> unused(pick(cluster, "10.1.2.3", 80));
  Host* used = pick(cluster, "127.0.0.1", backend.address.port());
  ASSERT_NE(used, nullptr);
  Conn conn = warm_up(backend, used->pool());
  ASSERT_TRUE(run_until(loop, [&] { return unused->ref_count() == 1; }));
  EXPECT_TRUE(conn.is_open()) << "an idle connection keeps its host";
  EXPECT_EQ(pick(cluster, "127.0.0.1", backend.address.port()), used);
}

tls::Issued make_ca() {
  tls::CertificateRequest request;
  request.common_name = "ca";
  request.not_before = 1'700'000'000;
  request.not_after = 2'900'000'000;
  request.is_ca = true;
  return *tls::issue(request, nullptr);
}

class TlsPoolTest : public UpstreamTest {
 protected:
  struct Server final : io::TransportObserver {
    void on_connected() override { is_connected = true; }
    void on_readable() override {}
    void on_writable() override {}
    void on_closed(Failure) override { is_closed = true; }
    bool is_connected = false;
    bool is_closed = false;
  };
  TlsPoolTest() {
    tls::CertificateRequest request;
    request.not_before = 1'700'000'000;
    request.not_after = 2'900'000'000;
    request.sans = {{tls::SanType::kDns, "orders.shop"}};
    const tls::Issued leaf = *tls::issue(request, &ca);
    tls::ContextConfig server;
    server.certificates = {{leaf.certificate_pem, leaf.key_pem, "leaf"}};
    server_context = *tls::Context::make(server);
  }
  void trust(const tls::Issued& issuer) {
    tls::ContextConfig client;
    client.role = tls::Role::kClient;
    client.sni = "fallback";
    client.auto_host_sni = true;
    client.validation.emplace().trusted_ca_pem = issuer.certificate_pem;
    config->pool->tls = tls::ContextSlot::fixed(*tls::Context::make(client));
  }
  // Accepts, and lets the handshake begin.
  std::unique_ptr<tls::TlsTransport> accept(Server& server) {
    auto transport = std::make_unique<tls::TlsTransport>(
        loop, io::Socket::adopt(loop, nonblocking(backend.accept().release())), server_context,
        tls::TlsTransport::Options{});
    transport->start(server);
    return transport;
  }
  static int nonblocking(int fd) {
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
  }
  HostSetPtr host_named(std::string_view name) {
    Endpoint info;
    info.address = backend.address;
    info.hostname = name;
    return make_host_set({info}, nullptr);
  }
  Backend backend;
  tls::Issued ca = make_ca();
  std::shared_ptr<const tls::Context> server_context;
  stats::BlockRef<stats::ClusterTlsStats> ssl = registry.block<stats::ClusterTlsStats>(0, "c");
};

TEST_F(TlsPoolTest, IsReadyAfterTheHandshakeAndNamesItsHost) {
  trust(ca);
  Pool& pool = use(set(host_named("orders.shop"))).pool();
  Request request;
  request.start(pool);
  run_for(loop, milliseconds(5));
  EXPECT_FALSE(request.is_ready()) << "connected, but no handshake yet";
  Server server;
  auto transport = accept(server);
  ASSERT_TRUE(run_until(loop, [&] { return request.is_ready() && server.is_connected; }));
  EXPECT_EQ(transport->identity()->sni, "orders.shop");
  EXPECT_EQ(ssl->handshake.value(), 1u);
  EXPECT_EQ(request.connection->transport().identity()->dns_san, "orders.shop");
  request.stream->reset();
  transport->close();
  loop.delete_later(std::move(transport));
}

TEST_F(TlsPoolTest, FallsBackToTheNameOfTheContext) {
  trust(ca);
  Pool& pool = use(set(host_named(""))).pool();
  Request request;
  request.start(pool);
  run_for(loop, milliseconds(5));
  Server server;
  auto transport = accept(server);
  ASSERT_TRUE(run_until(loop, [&] { return request.is_ready() && server.is_connected; }));
  EXPECT_EQ(transport->identity()->sni, "fallback");
  request.stream->reset();
  transport->close();
  loop.delete_later(std::move(transport));
}

TEST_F(TlsPoolTest, FailsItsWaiterWithTheReasonWhenThePeerIsNotTrusted) {
  const tls::Issued other = make_ca();
  trust(other);
  Pool& pool = use(set(host_named("orders.shop"))).pool();
  Request request;
  request.start(pool);
  run_for(loop, milliseconds(5));
  Server server;
  auto transport = accept(server);
  ASSERT_TRUE(run_until(loop, [&] { return bool(request.failure) && server.is_closed; }));
  EXPECT_EQ(request.failure.kind, FailureKind::kTlsFailed);
  EXPECT_NE(pool.last_failure_reason(), "");
  EXPECT_EQ(ssl->fail_verify_error.value(), 1u);
  EXPECT_EQ(stats->upstream_cx_connect_fail.value(), 1u);
  transport->close();
  loop.delete_later(std::move(transport));
}

}  // namespace
}  // namespace pillion::upstream
