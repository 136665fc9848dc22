#pragma once
// Stream: one HTTP exchange, from the first byte of the request to the end of both directions.
//
// Owned by its HttpConnection, which passes it to Loop::delete_later when on_stream_done was
// called. Talks to the client through a DownstreamStream and to each attempt through an
// UpstreamStream; knows no codec and no socket.
//
// The life of a request, one function a phase (stream.cc, and in stream_request.cc and
// stream_response.cc the two directions behind its head; upgrades and CONNECT are in
// stream_tunnel.cc):
//
//   on_request_head -> choose_route -> run_request_filters -> route_request -> start_attempt
//        -> (pool) -> on_pool_ready -> pump_request ... -> on_response_head
//        -> run_response_filters -> send_response_head -> pump_response ... -> finish
//   any phase -> fail -> (retry | local reply | reset) -> finish
//
// A stream ends in one function, finish(); the access log is written there, once.

#include <algorithm>
#include <cstdint>

#include "proxy/base/arena.h"
#include "proxy/base/buffer.h"
#include "proxy/base/free_list.h"
#include "proxy/core/chain_line.h"
#include "proxy/core/filter_run.h"
#include "proxy/core/request_headers.h"
#include "proxy/core/stream_info.h"
#include "proxy/core/worker_context.h"
#include "proxy/http/codec.h"
#include "proxy/route/timeouts.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/pool.h"

namespace pillion::core {

struct RetryState;

// The request side and the response side advance independently.
enum class RequestState : uint8_t { kHead, kBody, kDone };
enum class ResponseState : uint8_t { kNone, kWaiting, kBody, kDone };
// An upgrade or a CONNECT that its route allows.
enum class TunnelState : uint8_t {
  kNone,
  kAsked,
  kAgreed,   // by the upstream; its answer is on its way to the client
  kStands,   // the client has the answer
  kRefused,  // there is another answer
};

// What a stream needs from the connection it came on.
class StreamOwner {
 public:
  virtual const ConnectionInfo& connection_info() const = 0;
  virtual stats::HttpStats& http_stats() = 0;
  virtual stats::ListenerHttpStats& listener_http_stats() = 0;
  virtual UnderscoreCounters underscore_counters() = 0;
  // That of the chain which the next request will have.
  virtual Ref<ChainState> newest_chain() = 0;
  // Of the stream, framing included.  Received: a pipelined request that came with it is counted
  // here.
  virtual uint64_t wire_bytes_received() const = 0;
  virtual uint64_t wire_bytes_sent() const = 0;
  // The next response head announces the end of the connection.
  virtual void close_after_response() = 0;
  // The client's connection goes over to raw bytes after the next head.
  virtual void begin_tunnel() = 0;

 protected:
  ~StreamOwner() = default;
};

class Stream final : public io::Deferred,
                     public http::RequestSink,
                     private http::ResponseSink,
                     private upstream::PoolWaiter,
                     private io::ReadyTask {
 public:
  // All references outlive the stream.  It pins `chain`, whose terminal is an
  // HttpConnectionManager: the configuration that it began with.
  Stream(WorkerContext& worker, Ref<ChainState> chain, StreamOwner& owner,
         http::DownstreamStream& downstream);
  ~Stream() override;
  static void* operator new(size_t size);
  static void operator delete(void* memory) noexcept;

  http::RequestHead& request_head() noexcept { return request_; }
  http::Headers& new_request_trailers();
  void count_header_bytes(size_t n) noexcept { info_.request_header_bytes += n; }
  // Both directions ended; nothing of the stream is used any more.
  void close();
  [[nodiscard]] const StreamInfo& info() const noexcept { return info_; }
  [[nodiscard]] bool is_waiting_for_head() const noexcept {
    return request_state_ == RequestState::kHead;
  }

  // RequestSink
  void on_request_head(bool end) override;
  void on_request_body(std::string_view data, bool end) override;
  void on_request_trailers() override;
  void on_request_failed(Failure failure) override;
  void on_response_drained() override;
  // The head took longer than request_headers_timeout.
  void on_headers_timeout() { fail({FailureKind::kHeadersTimeout}); }
  // Nothing has come or gone for the stream's idle timeout.
  void on_idle_timeout();

 private:
  // What it began with, whatever the connection's requests have by now.
  [[nodiscard]] const HcmConfig& config() const noexcept { return *chain_->http; }

  // PoolWaiter
  void on_pool_ready(http::ClientConnection& connection) override;
  void on_pool_failure(Failure failure) override;
  // ResponseSink
  http::ResponseHead& new_response_head() override;
  http::Headers& new_response_trailers() override;
  void on_informational(http::ResponseHead& head) override;
  void on_response_head(http::ResponseHead& head, bool end) override;
  void on_response_body(std::string_view data, bool end) override;
  void on_response_trailers(http::Headers& trailers) override;
  void on_response_half_closed() override;
  void on_upstream_reset(Failure failure) override;
  void on_request_drained() override;
  void on_wire_bytes(uint64_t sent, uint64_t received) override {
    info_.upstream_wire_sent = sent;
    info_.upstream_wire_received = received;
  }
  size_t read_limit() const noexcept override {
    return reads_little_ ? std::min(kCautiousRead, most_read()) : most_read();
  }
  // ReadyTask: an attempt begun from within a callback of the one before.
  void run_ready() override { start_attempt(); }

  // Phases; false: the stream has been answered or failed.
  bool prepare(bool end);
  void choose_route(const HcmConfig& config);
  void route_request();
  bool use_route();
  void start_attempt();
  void finish();

  // Trying again, in stream_retry.cc.
  void use_retry_policy(const route::RetryPolicy& policy);
  RetryState& retry_state();
  bool try_again(Failure failure);
  bool passes_over_host(Failure failure);
  bool repeats_on_fresh_connection(Failure failure);
  bool repeats_refused(Failure failure);
  bool retry_failure(Failure failure);
  bool retry_response(const http::ResponseHead& head, bool end);
  void discard_response(size_t size, bool end);
  bool grant_retry(bool wanted, const http::ResponseHead* head);
  void start_back_off(RetryState& retry, const http::ResponseHead* head);
  void on_retry_timer();
  void end_retry();
  void start_try_timers();
  void touch_try();
  void on_per_try_timeout();
  void on_per_try_idle_timeout();
  void end_try(Failure failure);
  upstream::Host* pick_host(Failure* failure);
  void announce_attempt();
  void add_attempt_count(http::Headers& headers);
  [[nodiscard]] size_t kept_body_limit() const;
  void give_up_body();

  // The rest of the request, in stream_request.cc.
  void end_of_request();
  void pump_request(std::string_view data, bool end);
  void forward_request(std::string_view data, bool end);
  void pass_request_trailers();
  void send_held_body();
  void end_held_body();
  void end_request();

  // The filters, in stream_filters.cc.  False: the part of the exchange waits, or was answered.
  class Filters;
  bool run_request_filters(bool end);
  [[nodiscard]] bool filters_hold_request() const {
    return filters_ != nullptr && filters_->holds_request();
  }
  [[nodiscard]] bool filters_hold_response() const {
    return filters_ != nullptr && filters_->holds_response();
  }

  // The response, in stream_response.cc.
  void run_response_filters(http::ResponseHead& head, bool end);
  void send_response_head(http::ResponseHead& head, bool end);
  void respond_body(std::string_view data, bool end);
  void send_response_trailers(http::Headers& trailers);
  void pump_response(std::string_view data, bool end);
  void finish_response();
  void release_upstream();

  // Upgrades and CONNECT, in stream_tunnel.cc.
  struct Tunnel;
  bool check_upgrade();
  // Is what the client sends held back until the upstream has agreed?
  [[nodiscard]] bool waits_for_tunnel() const {
    return tunnel_state_ != TunnelState::kNone && tunnel_state_ != TunnelState::kStands &&
           request_.framing == http::Framing::kNone;
  }
  void refuse_tunnel() {
    if (tunnel_state_ != TunnelState::kNone) tunnel_state_ = TunnelState::kRefused;
  }
  void connect_raw();
  void on_tcp_ready();
  void on_tcp_refused(Failure failure, std::string_view reason);
  void cancel_connect();
  void prepare_upgrade(http::Protocol to);
  bool take_upgrade_answer(http::ResponseHead& head);
  bool take_websocket_accept(http::ResponseHead& head);
  void hold_for_tunnel(std::string_view data);
  void open_tunnel();
  void half_close_client(std::string_view data);
  void close_half_closed();
  void finish_tunnel();

  // Routing, in stream_routing.cc.
  [[nodiscard]] bool upgrade_allowed(std::string_view type) const;
  bool use_forward_route(const route::ForwardAction& action);
  void apply_route_limits(const route::ForwardAction& action);
  void announce_timeout();
  void send_continue();
  void invite_body();
  void send_path_redirect();
  void finalize_request();
  void finalize_response(http::ResponseHead& head);
  void send_redirect();
  void send_direct_response();
  void log_access();

  // Tracing, in stream_routing.cc too.
  void begin_trace();
  // Null: not sampled, as most requests.
  [[nodiscard]] SpanRecorder* spans() const noexcept {
    return info_.trace == nullptr ? nullptr : info_.trace->recorder;
  }

  // Counting, in stream_routing.cc too.
  void count_response(uint16_t status);
  void count_upstream_status(const http::ResponseHead& head, bool end);
  void count_grpc_status(const http::Headers* fields);
  void count_host_answer(uint16_t status);
  void count_no_answer(Failure failure);

  // Failing, in stream_failure.cc.
  void fail(Failure failure);
  void local_reply(uint16_t status, std::string_view body, std::string_view details,
                   const http::Headers* extra = nullptr);
  void drop_attempt();
  void release_slots();
  // One timer for two phases: request_timeout until the request is complete, the route's after.
  void on_phase_timeout();
  void on_duration_timeout();
  void touch() {
    if (idle_timeout_ != Duration{}) worker_.loop.arm(idle_timer_, idle_timeout_);
    if (retry_ != nullptr) touch_try();
  }
  void arm_duration(Duration limit);

  // Responses are read in pieces of this size until the client has shown that it takes them: what a
  // stalled client costs is one piece (issue 3, section 3: 64 KiB).
  static constexpr size_t kCautiousRead = 48 * 1024;
  // While no attempt can take the body it waits here, then the client is paused.
  static constexpr size_t kHeldBodyLimit = 64 * 1024;
  [[nodiscard]] size_t held_body_limit() const {
    return std::min<size_t>(kHeldBodyLimit, config().head_limits.buffer_limit);
  }
  [[nodiscard]] size_t most_read() const noexcept {
    return std::min<size_t>(io::Loop::kScratchBytes, config().head_limits.buffer_limit);
  }

  WorkerContext& worker_;
  const Ref<ChainState> chain_;  // before the arena, whose filters may use it to the end
  StreamOwner& owner_;
  http::DownstreamStream* downstream_;  // null after the end
  Arena arena_;
  http::RequestHead request_;
  http::ResponseHead* response_ = nullptr;  // the one being received or made
  http::Headers* request_trailers_ = nullptr;
  route::RouteMatch route_;
  Ref<upstream::Cluster> cluster_;
  Ref<upstream::Host> host_;
  http::UpstreamStream* upstream_ = nullptr;
  FilterRun* filters_ = nullptr;  // the arena's; null without filters
  Tunnel* tunnel_ = nullptr;      // the arena's; null if tunnel_state_ is kNone
  Buffer body_;                   // of the request: not sent yet, or kept for another attempt
  StreamInfo info_;
  io::Timer phase_timer_ = io::Timer::of<&Stream::on_phase_timeout>(this);
  io::Timer idle_timer_ = io::Timer::of<&Stream::on_idle_timeout>(this);
  Duration idle_timeout_{};
  route::TimeoutPlan timeouts_;
  RetryState* retry_ = nullptr;          // in the arena; null until it is needed
  io::Timer* duration_timer_ = nullptr;  // in the arena, too
  uint32_t delivered_ = 0;  // response bytes since the client last stalled, up to kTrustAfter
  uint8_t connect_tries_ : 4 = 0;
  uint8_t refused_tries_ : 2 = 0;
  RequestState request_state_ : 2 = RequestState::kHead;
  ResponseState response_state_ : 2 = ResponseState::kNone;
  TunnelState tunnel_state_ : 3 = TunnelState::kNone;
  bool ends_connect_ : 1 = false;    // CONNECT ends here: attempts are connections of raw bytes
  bool half_closed_ : 1 = false;     // a tunnel's upstream has ended its direction
  bool keep_body_ : 1 = false;       // body_ holds all of the request so far
  bool sent_any_ : 1 = false;        // the current attempt got our head
  bool request_passed_ : 1 = false;  // all of the request has passed the filters
  bool connection_reused_ : 1 = false;
  bool counts_request_ : 1 = false;  // a slot of the cluster's request breaker is ours
  bool continue_sent_ : 1 = false;
  bool reused_retry_done_ : 1 = false;
  bool ended_ : 1 = false;
  bool holds_client_ : 1 = false;       // the client is paused because body_ is full
  bool has_retries_ : 1 = false;        // the route's policy grants them
  bool keeps_for_retries_ : 1 = false;  // and wants the body again
  bool limits_tries_ : 1 = false;       // the policy limits the time of an attempt
  bool reads_little_ : 1 = false;       // the client may not take what comes
  bool is_grpc_ : 1 = false;            // what goes upstream is a call of gRPC
  bool grpc_status_due_ : 1 = false;    // whose status the host's counters wait for
};

}  // namespace pillion::core
