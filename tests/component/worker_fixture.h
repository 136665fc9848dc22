#pragma once
// A worker without its thread: listeners and clusters from Envoy YAML, real loopback sockets, and
// time that passes when the test says so (Loop::skip).  The test plays clients and servers.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "filters/registry.h"
#include "proxy/base/log_writer.h"
#include "proxy/base/str.h"
#include "proxy/config/loader.h"
#include "proxy/core/listener.h"
#include "proxy/core/parse.h"
#include "proxy/core/worker_context.h"
#include "proxy/telemetry/access_log.h"
#include "proxy/telemetry/header_formats.h"
#include "proxy/telemetry/local_replies.h"
#include "proxy/telemetry/tracing.h"
#include "proxy/upstream/parse.h"
#include "tests/component/peers.h"

namespace pillion::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr std::string_view kExtension = "'@type': type.googleapis.com/envoy.extensions.";

// What a listener in YAML is made of; a test names what it is about.
struct ListenerYaml {
  std::string name = "in";
  std::string hcm = {};  // fields of the HttpConnectionManager
  std::string routes = "{ match: { prefix: / }, route: { cluster: app } }";
  std::string tcp = {};       // fields of a TcpProxy, which then takes the manager's place
  std::string chain = {};     // fields of the filter chain
  std::string listener = {};  // fields of the listener
  std::string filters = {};   // of http_filters, before the router, each followed by a comma
  std::string host = {};      // fields of the virtual host, each followed by a comma
  std::string router = {};    // fields of the router
  std::string guards = {};    // network filters before the last, each followed by a comma
  std::string source = {};    // "rds: {...}" or "scoped_routes: {...}", instead of routes and host

  [[nodiscard]] std::string own_routes() const {
    return str("route_config: { virtual_hosts: [ { name: all, domains: [ '*' ], ", host,
               "routes: [ ", routes, " ] } ] }");
  }
  [[nodiscard]] std::string text() const {
    const std::string manager =
        str("{ ", kExtension,
            "filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: web, ",
            hcm, hcm.empty() ? "" : ", ", source.empty() ? own_routes() : source,
            ", http_filters: [ ", filters, "{ name: router, typed_config: { ", kExtension,
            "filters.http.router.v3.Router", router.empty() ? "" : ", ", router, " } } ] }");
    const std::string proxy =
        str("{ ", kExtension,
            "filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: raw, cluster: app, ", tcp, " }");
    return str("{ name: ", name,
               ", address: { socket_address: { address: 127.0.0.1, port_value: 0 } }, ", listener,
               listener.empty() ? "" : ", ", "filter_chains: [ { ", chain,
               chain.empty() ? "" : ", ", "filters: [ ", guards,
               "{ name: f, typed_config: ", tcp.empty() ? manager : proxy, " } ] } ] }");
  }
};

// A test's access log: "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%" of each stream.
struct LogSink final : core::AccessLogger {
  LogSink(std::vector<std::string>& to, std::string_view text)
      : lines(to), format(*telemetry::Format::compile(text)) {}
  void log(const core::StreamInfo& info) const override {
    format.append(lines.emplace_back(), info);
  }
  std::vector<std::string>& lines;
  telemetry::Format format;
};

class WorkerTest : public ::testing::Test, protected core::ListenerOwner {
 protected:
  WorkerTest() : services_(*this) {}

  void TearDown() override {
    if (listener) {
      listener->close_connections();
      loop.delete_later(std::move(listener));
    }
    spans.close();
    clusters.clear();
    run_for(loop, milliseconds(1));
    EXPECT_EQ(connection_count, 0);
    EXPECT_EQ(http->downstream_cx_active.value(), 0);
    EXPECT_EQ(http->downstream_rq_active.value(), 0);
    EXPECT_EQ(app->upstream_cx_active.value(), 0);
    EXPECT_EQ(app->upstream_rq_active.value(), 0);
    EXPECT_EQ(app->upstream_rq_pending_active.value(), 0);
    if (current_ != nullptr) {
      EXPECT_EQ(limits->connections.used() + limits->pending.used() + limits->requests.used() +
                    limits->retries.used(),
                0);
    }
  }

  // ---- configuration ----

  template <typename Parse>
  auto parse(std::string_view yaml, Parse&& parse) {
    config::Errors errors;
    const config::DocumentPtr document = config::load_text(yaml, "test", errors);
    auto value = parse(document->root(errors));
    EXPECT_TRUE(errors.ok()) << errors.to_string() << yaml;
    return value;
  }
  std::shared_ptr<const core::ListenerConfig> parse_listener(const ListenerYaml& yaml) {
    std::vector<config::Located<std::string>> names;
    return parse(yaml.text(), [&](const config::Node& n) {
      return core::parse_listener(n, {services_, names});
    });
  }
  core::ParseServices& parse_services() { return services_; }
  // A STATIC cluster "app", or what it becomes: the endpoints in order, and more of its fields.
  void set_cluster(const std::vector<io::Address>& endpoints, std::string_view fields = {}) {
    std::string list;
    for (const io::Address& a : endpoints) {
      list += str("{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ",
                  a.port(), " } } } }, ");
    }
    const auto config =
        parse(str("{ name: app, type: STATIC, ", fields, fields.empty() ? "" : ", ",
                  "load_assignment: { cluster_name: app, endpoints: [ { lb_endpoints: [ ", list,
                  " ] } ] } }"),
              [](const config::Node& n) { return upstream::parse_cluster(n); });
    if (current_ != nullptr) upstream::adopt_limits(*config, *current_);
    limits = config->limits;
    current_ = config;
    upstream::Endpoints infos;
    for (const upstream::HostInfoPtr& host : config->static_hosts.hosts) {
      upstream::Endpoint& info = infos.emplace_back();
      static_cast<upstream::HostTraits&>(info) = host->like();
      info.address = host->address;
      info.weight = host->weight;
      info.priority = static_cast<uint8_t>(host->priority);
      info.health = host->health;
    }
    hosts_ = upstream::make_host_set(infos, hosts_);
    clusters.set({config, hosts_});
  }
  void listen(const ListenerYaml& yaml) {
    auto config = parse_listener(yaml);
    Fd fd = loopback_listener();
    address = local_address_of(fd.get());
    core::ListenerOwner& owner = *this;
    const int sockets[] = {fd.release()};
    listener = std::make_unique<core::Listener>(worker, owner, std::move(config), sockets);
  }
  // A reload that leaves the listening socket alone.
  void update(const ListenerYaml& yaml) { listener->update(parse_listener(yaml)); }

  // ---- what happens ----

  Peer connect() { return Peer(loop, connect_to(address)); }
  // A client whose request has been sent; by default of the kind that keeps the connection.
  Peer request(std::string_view text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n") {
    Peer client = connect();
    client.send(text);
    return client;
  }
  // Turns the loop until there is nothing left to do at once.
  void settle() {
    for (int i = 0; i < 20; ++i) loop.run_once(false);
  }
  // Time passes, then what is due happens.
  void pass(Duration time) {
    settle();
    loop.skip(time);
    settle();
  }
  // The last line of the access log, after it was written.
  std::string logged() {
    EXPECT_TRUE(run_until(loop, [&] { return !log.empty(); })) << "nothing was logged";
    return log.empty() ? "" : log.back();
  }

  // ListenerOwner
  core::Listener* find_listener(const io::Address&) override { return nullptr; }
  void on_listener_empty(core::Listener&) override { ++times_empty; }
  bool may_accept() override { return true; }
  void on_connection_count(int change) override { connection_count += change; }

  io::Loop loop;
  io::WriteBatch batch{loop};
  stats::Registry registry;
  std::vector<std::string> log;
  std::string log_format = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%";
  std::span<const core::HttpFilterType> http_filters = filters::http_filters();
  LogWriter* log_writer = nullptr;  // set: access logs are what the configuration says, not `log`
  telemetry::SpanExporter spans{loop, registry};  // that nobody takes, unless the test does
  upstream::ClusterMap clusters{upstream::ClusterContext{loop, batch, registry, 0, rng_}};
  core::WorkerContext worker{loop, batch, registry, clusters, 0, Rng(1), {}};
  stats::BlockRef<stats::HttpStats> http = registry.block<stats::HttpStats>(0, "web");
  stats::BlockRef<stats::TcpStats> tcp = registry.block<stats::TcpStats>(0, "raw");
  stats::BlockRef<stats::ClusterStats> app = registry.block<stats::ClusterStats>(0, "app");
  upstream::LimitsRef limits;
  std::unique_ptr<core::Listener> listener;
  io::Address address;
  int connection_count = 0;
  int times_empty = 0;

 private:
  struct Services final : core::ParseServices {
    explicit Services(WorkerTest& owner) : test(owner) {}
    std::vector<std::shared_ptr<const core::AccessLogger>> access_logs(
        const config::Node& list) override {
      auto configured = telemetry::parse_access_logs(list, test.log_writer);
      if (test.log_writer != nullptr) return configured;
      // Not the listener's own log.
      if (test.log_format.empty() || list.path().find("filter") == std::string::npos) return {};
      return {std::make_shared<const LogSink>(test.log, test.log_format)};
    }
    std::shared_ptr<const core::LocalReplies> local_replies(const config::Node& node) override {
      return telemetry::parse_local_replies(node);
    }
    const route::FormatFactory& header_formats() override { return formats; }
    std::span<const core::HttpFilterType> http_filters() override { return test.http_filters; }
    std::span<const core::NetworkFilterType> network_filters() override {
      return filters::network_filters();
    }
    std::shared_ptr<const core::Tracer> tracer(
        const config::Node& node, bool is_outbound,
        std::vector<config::Located<std::string>>& names) override {
      return telemetry::parse_tracing(node, is_outbound, "node", &test.spans, names);
    }
    WorkerTest& test;
    telemetry::HeaderFormats formats;
  };
  Rng rng_{2};
  Services services_;
  std::shared_ptr<const upstream::ClusterConfig> current_;
  upstream::HostSetPtr hosts_;
};

inline constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

// The status line's number.
inline int status_of(std::string_view response) {
  return response.size() < 12 || !response.starts_with("HTTP/1.1 ")
             ? 0
             : std::stoi(std::string(response.substr(9, 3)));
}

}  // namespace pillion::testing
