// A health check by HTTP/1.1, with the same connection code and TLS context as the cluster's pools.
// The only place of health checks that knows H1ClientConnection.
#include <utility>

#include "proxy/base/str.h"
#include "proxy/http/h1_client.h"
#include "proxy/upstream/health_probe.h"

namespace pillion::upstream {
namespace {

// As Envoy's, which access-log filters and servers know.
constexpr std::string_view kUserAgent = "Envoy/HC";
// The ALPN offer: the protocol of checks is not that of traffic.
constexpr std::string_view kHttp1 = "\x08http/1.1";
// A body is not looked at; it may be as long as the timeout lets it.
constexpr size_t kReadAtOnce = 16 * 1024;

class HttpProbe final : public Probe,
                        private http::ClientConnection::Owner,
                        private http::ResponseSink {
 public:
  explicit HttpProbe(const Context& context)
      : context_(context), limits_(context.config.pool->head_limits) {}
  ~HttpProbe() override { cancel(); }

  void start() override {
    if (connection_ != nullptr) return send();
    state_ = State::kConnecting;
    connection_ = std::make_unique<http::H1ClientConnection>(
        context_.loop, context_.batch, limits_, static_cast<http::ClientConnection::Owner&>(*this));
    std::unique_ptr<io::Transport> transport = make_probe_transport(context_, kHttp1);
    transport_ = transport.get();
    connection_->start(std::move(transport));
  }

  void cancel() override {
    state_ = State::kResting;
    if (connection_ != nullptr) connection_->close({FailureKind::kLocalReset});
  }

 private:
  enum class State : uint8_t { kResting, kConnecting, kWaiting };
  [[nodiscard]] const HealthCheckOptions& options() const { return *context_.config.health_check; }

  void send() {
    state_ = State::kWaiting;
    arena_.clear();
    result_ = {};
    const HttpCheck& check = options().http;
    http::RequestHead head(arena_);
    head.method = http::find_method(check.method);
    head.method_text = check.method;
    head.path = check.path;
    head.authority = authority();
    head.headers.add(http::HeaderId::kUserAgent, kUserAgent);
    for (const auto& [name, value] : check.headers) head.headers.add(name, value);
    for (const std::string& name : check.removed_headers) head.headers.remove(name);
    connection_->begin(*this).send_head(head, true);
  }
  [[nodiscard]] std::string_view authority() const {
    const HostInfo& host = context_.host;
    if (host.check() != nullptr && !host.check()->hostname.empty()) return host.check()->hostname;
    const std::string& configured = options().http.host;
    return configured.empty() ? context_.config.name.view() : std::string_view(configured);
  }

  // The connection; it may become idle, or close, before the end of its response is told.
  void on_client_connected(http::ClientConnection&) override { send(); }
  void on_client_idle(http::ClientConnection& connection) override {
    if (!options().reuse_connection) connection.close({FailureKind::kNone});
  }
  void on_client_closed(http::ClientConnection& connection, Failure failure) override {
    static_cast<void>(connection);
    context_.loop.delete_later(std::move(connection_));
    if (state_ == State::kConnecting) fail(failure);
  }
  using Event = http::ClientConnection::Event;
  void on_client_event(http::ClientConnection&, Event) override {}
  void on_client_bytes(uint64_t, uint64_t) override {}

  // The response
  http::ResponseHead& new_response_head() override {
    return *arena_.create<http::ResponseHead>(arena_);
  }
  http::Headers& new_response_trailers() override { return *arena_.create<http::Headers>(arena_); }
  void on_informational(http::ResponseHead&) override {}
  void on_response_head(http::ResponseHead& head, bool end) override {
    judge(head);
    if (end) done(std::exchange(result_, {}));
  }
  void on_response_body(std::string_view, bool end) override {
    if (end) done(std::exchange(result_, {}));
  }
  void on_response_trailers(http::Headers&) override { done(std::exchange(result_, {})); }
  void on_upstream_reset(Failure failure) override { fail(failure); }
  void on_request_drained() override {}
  size_t read_limit() const noexcept override { return kReadAtOnce; }

  void judge(const http::ResponseHead& head) {
    const HttpCheck& check = options().http;
    result_.is_degraded = head.headers.find("x-envoy-degraded") != nullptr;
    result_.is_excluded = head.headers.find("x-envoy-immediate-health-check-fail") != nullptr;
    if (HttpCheck::contains(check.expected, head.status)) return;
    result_.kind = ProbeResult::Kind::kRefused;
    result_.is_retriable = HttpCheck::contains(check.retriable, head.status);
    result_.reason = str("status ", head.status);
  }
  void fail(Failure failure) {
    const std::string_view reason =
        transport_ == nullptr ? std::string_view() : transport_->failure_reason();
    done({ProbeResult::Kind::kNetwork, false, false, false, probe_failure_reason(failure, reason)});
  }
  void done(const ProbeResult& result) {
    if (std::exchange(state_, State::kResting) == State::kResting) return;
    context_.owner.on_probe_done(result);
  }

  const Context context_;
  const http::H1Limits limits_;
  Arena arena_;
  std::unique_ptr<http::H1ClientConnection> connection_;
  const io::Transport* transport_ = nullptr;  // the connection's; lives until the end of its turn
  ProbeResult result_;
  State state_ = State::kResting;
};

}  // namespace

std::unique_ptr<Probe> make_http_probe(const Probe::Context& context) {
  return std::make_unique<HttpProbe>(context);
}

}  // namespace pillion::upstream
