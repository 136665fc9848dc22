#include "proxy/upstream/map_client.h"

#include <algorithm>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/base/str.h"
#include "proxy/http/grpc.h"

namespace pillion::upstream {
namespace {

// One exchange.  It opens in the ready phase of the turn, so that nobody is called back from
// open().
class MapCall final : public io::Deferred,
                      public ClientCall,
                      private http::ResponseSink,
                      private PoolWaiter,
                      private io::ReadyTask {
 public:
  MapCall(io::Loop& loop, io::WriteBatch& batch, ClusterMap& clusters, std::string_view cluster,
          const CallHead& head, ClientCallObserver& observer)
      : loop_(loop),
        batch_(batch),
        clusters_(clusters),
        observer_(&observer),
        cluster_name_(arena_.copy(cluster)),
        head_(arena_) {
    copy_head(head);
    if (head.timeout != Duration{}) loop_.arm(timer_, head.timeout);
    loop_.post(*this);
  }
  ~MapCall() override { DASSERT(is_over() && upstream_ == nullptr); }

  // ClientCall
  void send(std::string_view data, bool end) override;
  [[nodiscard]] bool is_backed_up() const noexcept override {
    return upstream_ != nullptr ? upstream_->is_backed_up() : !waiting_.empty();
  }
  void pause() override { set_paused(true); }
  void resume() override { set_paused(false); }
  [[nodiscard]] std::string_view host() const noexcept override { return host_text_; }

 private:
  void close() noexcept override {
    finish();
    loop_.delete_later(static_cast<io::Deferred*>(this));
  }
  // ReadyTask
  void run_ready() override { start(); }
  // PoolWaiter
  void on_pool_ready(http::ClientConnection& connection) override;
  void on_pool_failure(Failure failure) override;
  // ResponseSink
  http::ResponseHead& new_response_head() override {
    return *arena_.create<http::ResponseHead>(arena_);
  }
  http::Headers& new_response_trailers() override { return *arena_.create<http::Headers>(arena_); }
  void on_informational(http::ResponseHead&) override {}
  void on_response_head(http::ResponseHead& head, bool end) override;
  void on_response_body(std::string_view data, bool end) override;
  void on_response_trailers(http::Headers& trailers) override;
  void on_upstream_reset(Failure failure) override;
  void on_request_drained() override {
    if (!is_over()) observer_->on_call_drained();
  }
  size_t read_limit() const noexcept override { return io::Loop::kScratchBytes; }

  void copy_head(const CallHead& head);
  void start();
  void send_waiting();
  void set_paused(bool paused);
  void on_timeout() {
    if (upstream_ != nullptr && !answered_) host_->on_outcome(AttemptOutcome::kTimeout);
    fail({FailureKind::kRequestTimeoutUpstream});
  }
  void fail(Failure failure, std::string_view reason = {});
  // The exchange of the connection is over, and it is back in its pool or closed.
  void release_upstream() {
    upstream_ = nullptr;
    host_->on_request_end();
  }
  // Cuts every edge but the one to the owner; idempotent.
  void finish() noexcept;
  [[nodiscard]] bool is_over() const noexcept { return observer_ == nullptr; }

  io::Loop& loop_;
  io::WriteBatch& batch_;
  ClusterMap& clusters_;
  ClientCallObserver* observer_;  // null: over
  Arena arena_;
  std::string_view cluster_name_;
  std::string_view host_text_;
  http::RequestHead head_;
  Ref<Cluster> cluster_;
  Ref<Host> host_;  // let go before the cluster
  http::UpstreamStream* upstream_ = nullptr;
  Buffer waiting_;  // of the request, for a connection
  io::Timer timer_ = io::Timer::of<&MapCall::on_timeout>(this);
  bool request_ended_ = false;
  bool paused_ = false;
  bool answered_ = false;        // a head has come
  bool counts_request_ = false;  // a slot of the cluster's request breaker is ours
};

void MapCall::copy_head(const CallHead& head) {
  head_.method_text = arena_.copy(head.method);
  head_.method = http::find_method(head.method);
  head_.path = arena_.copy(head.path);
  head_.authority = head.authority.empty() ? cluster_name_ : arena_.copy(head.authority);
  for (const CallField& field : head.fields) head_.headers.add_copy(field.name, field.value);
  head_.te_trailers = head.accepts_trailers;
  head_.framing = head.content_length ? http::Framing::kLength : http::Framing::kChunked;
  head_.content_length = head.content_length.value_or(0);
}

// ---- the request ----

void MapCall::start() {
  Cluster* cluster = clusters_.find(cluster_name_);
  if (cluster == nullptr) return fail({FailureKind::kNoCluster});
  cluster_ = Ref(cluster);
  counts_request_ = cluster->begin_request();
  if (!counts_request_) return fail({FailureKind::kOverflow});
  Failure failure;
  Host* host = cluster->pick({}, &failure);
  if (host == nullptr) return fail(failure);
  host_ = Ref(host);
  head_.scheme = host->pool().has_tls() ? "https" : "http";
  char text[io::Address::kMaxText];
  host_text_ = arena_.copy({text, host->address().format(text, true)});
  http::ClientConnection* connection = cluster->pool(*host, head_).acquire(*this, &failure);
  if (connection != nullptr) return on_pool_ready(*connection);
  if (failure) fail(failure);
}

void MapCall::on_pool_ready(http::ClientConnection& connection) {
  upstream_ = &connection.begin(*this);
  host_->on_request_start();
  host_->on_outcome(AttemptOutcome::kConnected);
  const bool end = request_ended_ && waiting_.empty() && head_.content_length == 0;
  upstream_->send_head(head_, end);
  if (paused_) upstream_->pause_response();
  send_waiting();
  // One whose SETTINGS are still to come tells of that itself.
  if (upstream_ != nullptr && !upstream_->is_backed_up()) on_request_drained();
}

void MapCall::on_pool_failure(Failure failure) {
  host_->on_failure(failure);
  // A copy: the pool's text is good until its next failure, and the observer may open a call.
  fail(failure, arena_.copy(cluster_->pool(*host_, head_).last_failure_reason()));
}

void MapCall::send_waiting() {
  iovec pieces[8];
  while (upstream_ != nullptr && !waiting_.empty()) {
    const int count = waiting_.iovecs(pieces, 8);
    size_t n = 0;
    for (int i = 0; i < count; ++i) {
      upstream_->send_body({static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len},
                           false);
      n += pieces[i].iov_len;
    }
    batch_.flush();  // it points into the slabs
    waiting_.consume(n);
  }
  if (upstream_ != nullptr && request_ended_) upstream_->send_body({}, true);
  batch_.flush();
}

void MapCall::send(std::string_view data, bool end) {
  DASSERT(!request_ended_);
  request_ended_ = end;
  if (is_over()) return;
  if (upstream_ == nullptr) return waiting_.append(data);
  upstream_->send_body(data, end);
  batch_.flush();  // it points to the caller's bytes
}

void MapCall::set_paused(bool paused) {
  if (std::exchange(paused_, paused) == paused || upstream_ == nullptr) return;
  paused ? upstream_->pause_response() : upstream_->resume_response();
}

// ---- the response ----

void MapCall::on_response_head(http::ResponseHead& head, bool end) {
  answered_ = true;
  host_->on_response(head, http::is_grpc(head_.headers));
  stats::count_upstream_response(cluster_->stats(), head.status);
  (head.status >= 500 ? host_->counters().rq_error : host_->counters().rq_success).inc();
  if (end) release_upstream();
  if (is_over()) return;
  ClientCallObserver& observer = *observer_;
  if (end) finish();
  observer.on_call_head(head, end);
}

void MapCall::on_response_body(std::string_view data, bool end) {
  if (end) release_upstream();
  if (is_over()) return;
  ClientCallObserver& observer = *observer_;
  if (end) finish();
  observer.on_call_data(data, end);
}

void MapCall::on_response_trailers(http::Headers& trailers) {
  release_upstream();
  if (is_over()) return;
  ClientCallObserver& observer = *observer_;
  finish();
  observer.on_call_trailers(trailers);
}

void MapCall::on_upstream_reset(Failure failure) {
  cluster_->stats().upstream_rq_rx_reset.inc();
  host_->on_failure(failure);
  release_upstream();
  fail(failure);
}

// ---- the end ----

void MapCall::fail(Failure failure, std::string_view reason) {
  if (is_over()) return;
  ClientCallObserver& observer = *observer_;
  finish();
  observer.on_call_failed(failure, reason);
}

void MapCall::finish() noexcept {
  if (is_over()) return;
  observer_ = nullptr;
  timer_.cancel();
  ListNode<io::ReadyTag>::unlink();
  if (host_) cluster_->pool(*host_, head_).cancel(*this);
  waiting_.clear();
  if (upstream_ != nullptr) {
    http::UpstreamStream* upstream = upstream_;
    cluster_->stats().upstream_rq_tx_reset.inc();
    release_upstream();
    upstream->reset();
  }
  if (std::exchange(counts_request_, false)) cluster_->end_request();
}

}  // namespace

ClientCallPtr MapClient::open(std::string_view cluster, const CallHead& head,
                              ClientCallObserver& observer) {
  return ClientCallPtr(new MapCall(loop_, batch_, clusters_, cluster, head, observer));
}

}  // namespace pillion::upstream
