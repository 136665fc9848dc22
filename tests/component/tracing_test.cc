// What a worker does with the trace of a request: fields on the wire, spans in the exporter's
// queue.  What spans say is tests/e2e/tracing_test.py's.
#include "tests/component/worker_fixture.h"

namespace pillion::testing {
namespace {

constexpr std::string_view kParent =
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-";

std::string tracing(std::string_view fields = {}) {
  return str("tracing: { ", fields, fields.empty() ? "" : ", ",
             "provider: { name: t, typed_config: { '@type': "
             "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig, http_service: { "
             "http_uri: { uri: 'http://c:4318', cluster: c, timeout: 1s } } } } }");
}

// Takes what the exporter sends, and counts its spans by looking for their method attribute.
class Collector final : public upstream::ClusterClient {
 public:
  struct Call final : upstream::ClientCall {
    explicit Call(std::string& to) : body(to) {}
    void send(std::string_view data, bool) override { body += data; }
    [[nodiscard]] bool is_backed_up() const noexcept override { return false; }
    void pause() override {}
    void resume() override {}
    [[nodiscard]] std::string_view host() const noexcept override { return {}; }
    void close() noexcept override { delete this; }
    std::string& body;
  };
  upstream::ClientCallPtr open(std::string_view, const upstream::CallHead&,
                               upstream::ClientCallObserver&) override {
    return upstream::ClientCallPtr(new Call(body));
  }
  [[nodiscard]] size_t count(std::string_view text) const {
    size_t n = 0;
    for (size_t at = body.find(text); at != std::string::npos; at = body.find(text, at + 1)) ++n;
    return n;
  }
  std::string body;
};

class TracingTest : public WorkerTest {
 protected:
  // Sends a request and returns what the upstream got; the upstream answers with `response`.
  std::string pass_through(std::string_view fields, std::string_view response = kOk) {
    Peer client = request(str("GET / HTTP/1.1\r\nHost: a\r\n", fields, "\r\n"));
    Peer server = backend.accept();
    std::string got = server.message();
    server.send(response);
    (void)client.message();
    settle();
    return got;
  }
  // How many spans the last requests have left.
  size_t spans_left() {
    spans.use(collector);
    spans.finish();
    return collector.count("http.request.method");
  }
  Backend backend{loop};
  Collector collector;
};

TEST_F(TracingTest, AnUnsampledCallerIsPassedOnAndLeavesNoSpan) {
  set_cluster({backend.address});
  listen({.hcm = tracing("spawn_upstream_span: true")});
  const std::string parent = str(kParent, "00\r\n");
  EXPECT_NE(pass_through(parent).find(parent), std::string::npos);
  EXPECT_EQ(spans_left(), 0u);
}

TEST_F(TracingTest, ASampledRequestLeavesTwoSpans) {
  set_cluster({backend.address});
  listen({.hcm = tracing("spawn_upstream_span: true")});
  const std::string got = pass_through(str(kParent, "01\r\n"));
  EXPECT_NE(got.find("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-"), std::string::npos);
  EXPECT_EQ(got.find("00f067aa0ba902b7"), std::string::npos) << "the attempt is the parent now";
  EXPECT_EQ(spans_left(), 2u);
}

TEST_F(TracingTest, ARequestThatNoRouteTakesLeavesOne) {
  set_cluster({backend.address});
  listen({.hcm = tracing(), .routes = "{ match: { prefix: /x }, route: { cluster: app } }"});
  Peer client = request();
  EXPECT_EQ(status_of(client.message()), 404);
  settle();
  EXPECT_EQ(spans_left(), 1u);
}

TEST_F(TracingTest, AClientThatLeavesEndsItsSpans) {
  set_cluster({backend.address});
  listen({.hcm = tracing("spawn_upstream_span: true")});
  Peer client = request();
  Peer server = backend.accept();
  (void)server.message();
  client.close();
  EXPECT_EQ(logged().substr(0, 4), "0 DC");
  EXPECT_EQ(spans_left(), 2u);
  EXPECT_EQ(collector.count("downstream_remote_disconnect"), 4u) << "error.type and status, twice";
}

// They would hide what matters, and an attempt without its request has no parent.
TEST_F(TracingTest, AHealthCheckThatPassesThroughLeavesNoSpan) {
  set_cluster({backend.address});
  listen(
      {.hcm = tracing("spawn_upstream_span: true"),
       .filters = str("{ name: h, typed_config: { ", kExtension,
                      "filters.http.health_check.v3.HealthCheck, pass_through_mode: true } }, ")});
  EXPECT_FALSE(pass_through(str(kParent, "01\r\n")).empty());
  EXPECT_EQ(spans_left(), 0u);
  EXPECT_EQ(http->tracing_health_check.value(), 1u);
}

}  // namespace
}  // namespace pillion::testing
