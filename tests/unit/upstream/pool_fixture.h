#pragma once
// A cluster of this thread, backends on loopback that the test plays by hand, and requests.

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/upstream/cluster_map.h"
#include "tests/support/run_until.h"

namespace pillion::upstream {

using testing::run_for;
using testing::run_until;

// The server's end of a connection; blocking, but never for more than two seconds.
class Conn {
 public:
  explicit Conn(int fd) : fd_(fd) {}
  Conn(Conn&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Conn() { close(); }
  // Up to the end of a head.
  std::string read_head() {
    std::string text;
    while (!text.ends_with("\r\n\r\n")) {
      char c;
      if (!is_readable() || ::recv(fd_, &c, 1, 0) != 1) break;
      text += c;
    }
    return text;
  }
  // 0 at the end.
  char read_byte() {
    char c = 0;
    return is_readable() && ::recv(fd_, &c, 1, 0) == 1 ? c : '\0';
  }
  void send(std::string_view text) {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL), ssize_t(text.size()));
  }
  void respond(std::string_view fields = "") {
    send(std::string("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n").append(fields) + "\r\n");
  }
  // Has the client ended it?
  bool is_closed() {
    char c;
    return is_readable() && ::recv(fd_, &c, 1, MSG_PEEK) <= 0;
  }
  bool is_open() {
    char c;
    return ::recv(fd_, &c, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
  }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  int release() { return std::exchange(fd_, -1); }

 private:
  bool is_readable() {
    pollfd p{fd_, POLLIN, 0};
    return ::poll(&p, 1, 2000) == 1;
  }
  int fd_;
};

class Backend {
 public:
  explicit Backend(int backlog = 16) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_storage storage{};
    socklen_t length = io::Address::ipv4(INADDR_LOOPBACK, 0).to_sockaddr(storage);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&storage), length), 0);
    if (backlog >= 0) {
      EXPECT_EQ(::listen(fd_, backlog), 0);
    }
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&storage), &length), 0);
    address = io::Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length);
  }
  ~Backend() { ::close(fd_); }
  Conn accept() {
    pollfd p{fd_, POLLIN, 0};
    EXPECT_EQ(::poll(&p, 1, 2000), 1) << "nobody connects";
    return Conn(::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC));
  }
  [[nodiscard]] bool has_waiting() const {
    pollfd p{fd_, POLLIN, 0};
    return ::poll(&p, 1, 0) == 1;
  }
  io::Address address;

 private:
  int fd_;
};

// One request: waits for a connection and sends itself on it, unless told to hold back.
class Request final : public PoolWaiter, public http::ResponseSink {
 public:
  http::ClientConnection* connection = nullptr;
  http::UpstreamStream* stream = nullptr;
  Failure failure;  // of the pool
  Failure reset;    // of the exchange
  bool done = false;
  std::vector<const Request*>* order = nullptr;

  // Acquires, and sends if there is a connection at once.
  void start(Pool& pool) {
    http::ClientConnection* ready = pool.acquire(*this, &failure);
    if (ready != nullptr) send(*ready);
  }
  void send(http::ClientConnection& on) {
    connection = &on;
    http::RequestHead head(arena_);
    head.method_text = "GET";
    head.path = "/";
    head.authority = "a";
    stream = &on.begin(*this);
    stream->send_head(head, true);
  }
  [[nodiscard]] bool is_ready() const { return connection != nullptr; }

  void on_pool_ready(http::ClientConnection& ready) override {
    if (order != nullptr) order->push_back(this);
    send(ready);
  }
  void on_pool_failure(Failure f) override { failure = f; }
  http::ResponseHead& new_response_head() override { return head_; }
  http::Headers& new_response_trailers() override { return trailers_; }
  void on_informational(http::ResponseHead&) override {}
  void on_response_head(http::ResponseHead&, bool end) override { done = end; }
  void on_response_body(std::string_view, bool end) override { done = end; }
  void on_response_trailers(http::Headers&) override { done = true; }
  void on_upstream_reset(Failure f) override { reset = f; }
  void on_request_drained() override {}
  size_t read_limit() const noexcept override { return 1 << 20; }

 private:
  Arena arena_;
  http::ResponseHead head_{arena_};
  http::Headers trailers_{arena_};
};

inline uint64_t count_of(const stats::Histogram& histogram) {
  uint64_t n = 0;
  for (size_t i = 0; i < stats::Histogram::kBuckets; ++i) n += histogram.bucket(i);
  return n;
}

class UpstreamTest : public ::testing::Test {
 protected:
  UpstreamTest() { config->name = config->stat_name = "c"; }
  void TearDown() override {
    clusters.clear();
    run_for(loop, std::chrono::milliseconds(1));
    EXPECT_EQ(config->limits->connections.used(), 0);
    EXPECT_EQ(config->limits->pending.used(), 0);
    EXPECT_EQ(config->limits->requests.used(), 0);
    EXPECT_EQ(stats->upstream_cx_active.value(), 0);
    EXPECT_EQ(stats->upstream_rq_pending_active.value(), 0);
    EXPECT_EQ(stats->upstream_cx_total.value(), stats->upstream_cx_destroy.value());
    EXPECT_EQ(stats->upstream_cx_destroy.value(),
              stats->upstream_cx_destroy_local.value() + stats->upstream_cx_destroy_remote.value());
  }
  static HostSetPtr hosts_at(const std::vector<io::Address>& addresses,
                             const HostSetPtr& previous = nullptr) {
    Endpoints infos;
    for (const io::Address& address : addresses) infos.emplace_back().address = address;
    return make_host_set(infos, previous);
  }
  // The cluster "c" with what `config` says now.
  Cluster& set(const HostSetPtr& hosts) {
    config->hash = config->connection_hash + ++version_;
    clusters.set({std::make_shared<ClusterConfig>(*config), hosts});
    return *clusters.find("c");
  }
  // As if it was picked.
  static Host& use(Cluster& cluster, size_t i = 0) { return cluster.use(*cluster.hosts()[i]); }
  Pool& pool_at(const io::Address& address) { return use(set(hosts_at({address}))).pool(); }
  // The connections that it has when those that are due are begun.
  uint32_t opened(Pool& pool) {
    loop.run_once(false);
    return pool.open_connections();
  }
  // A request that was answered, on a connection that is idle now.
  Conn warm_up(Backend& backend, Pool& pool) {
    Request request;
    request.start(pool);
    EXPECT_TRUE(run_until(loop, [&] { return request.is_ready(); }));
    run_for(loop, std::chrono::milliseconds(1));
    Conn conn = backend.accept();
    finish(conn, request);
    return conn;
  }
  void finish(Conn& conn, Request& request, std::string_view fields = "") {
    EXPECT_NE(conn.read_head(), "");
    conn.respond(fields);
    EXPECT_TRUE(run_until(loop, [&] { return request.done; }));
  }

  io::Loop loop;
  io::WriteBatch batch{loop};
  stats::Registry registry;
  Rng rng{1};
  std::shared_ptr<ClusterConfig> config = std::make_shared<ClusterConfig>();
  stats::BlockRef<stats::ClusterStats> stats = registry.block<stats::ClusterStats>(0, "c");
  stats::BlockRef<stats::ClusterHttp1Stats> h1 = registry.block<stats::ClusterHttp1Stats>(0, "c");
  ClusterMap clusters{ClusterContext{loop, batch, registry, 0, rng}};

 private:
  uint64_t version_ = 0;
};

}  // namespace pillion::upstream
