// What a stream lets its filters know of it and do to it.
#include "proxy/base/number_text.h"
#include "proxy/core/missing_route.h"
#include "proxy/core/stream.h"
#include "proxy/http/grpc.h"

namespace pillion::core {

// In the stream's arena, made when there are filters.
class Stream::Filters final : public FilterHost {
 public:
  explicit Filters(Stream& stream) : s_(stream) {}

  Arena& arena() override { return s_.arena_; }
  WorkerContext& worker() override { return s_.worker_; }
  StreamInfo& info() override { return s_.info_; }
  http::RequestHead& request() override { return s_.request_; }
  http::Headers& request_trailers() override { return *s_.request_trailers_; }
  const route::RouteMatch& route() override { return s_.route_; }
  void choose_route() override {
    if (s_.cluster_) return;  // it was used already
    s_.info_.virtual_host = s_.info_.route_name = {};
    s_.choose_route(routing());
  }
  void use_newest_routes() override {
    if (s_.cluster_) return;  // the route in use is of the chain that is pinned
    if (newest_ == nullptr) newest_ = s_.arena_.create<Newest>();
    newest_->chain = s_.owner_.newest_chain();
    routing_ = newest_->chain->http;
  }
  RouteWish missing_route() override { return core::missing_route(routing(), s_.request_); }

  void pass_request_head() override { s_.route_request(); }
  void pass_request_body(std::string_view data, bool end) override { s_.pump_request(data, end); }
  void pass_request_trailers() override { s_.pass_request_trailers(); }
  void pass_response_head(http::ResponseHead& head, bool end) override {
    s_.send_response_head(head, end);
  }
  void pass_response_body(std::string_view data, bool end) override { s_.pump_response(data, end); }
  void pass_response_trailers(http::Headers& trailers) override {
    s_.send_response_trailers(trailers);
  }

  void pause_request() override { s_.downstream_->pause_request(); }
  void resume_request() override {
    const bool has_room = s_.upstream_ == nullptr || s_.waits_for_tunnel()
                              ? !s_.holds_client_
                              : !s_.upstream_->is_backed_up();
    if (s_.request_state_ == RequestState::kBody && has_room) s_.downstream_->resume_request();
  }
  void pause_response() override {
    if (s_.upstream_ != nullptr) s_.upstream_->pause_response();
  }
  void resume_response() override {
    if (s_.upstream_ != nullptr && !s_.downstream_->is_backed_up()) s_.upstream_->resume_response();
  }
  void invite_body() override { s_.invite_body(); }
  void extend_request() override { s_.request_passed_ = false; }
  void reply(const FilterReply& reply) override {
    if (s_.info_.times.ds_tx_begin != Instant{}) return s_.fail({FailureKind::kLocalReset});
    s_.drop_attempt();
    http::Headers headers(s_.arena_);
    if (reply.headers != nullptr)
      reply.headers->for_each([&headers](const http::Field& f) { headers.add(f); });
    if (reply.grpc_status && http::is_grpc(s_.request_.headers))
      headers.add(http::HeaderId::kGrpcStatus, number_text(s_.arena_, *reply.grpc_status));
    s_.local_reply(reply.status, reply.body, reply.details, &headers);
  }
  void refuse_body() override {
    s_.owner_.http_stats().downstream_rq_too_large.inc();
    s_.fail({FailureKind::kPayloadTooLarge});
  }
  void refuse_response() override {
    s_.owner_.http_stats().rs_too_large.inc();
    reply(
        {.status = 500, .body = "Internal Server Error", .details = "response_payload_too_large"});
  }
  void give_up_response() override {
    if (s_.grpc_status_due_) s_.count_grpc_status(nullptr);
    s_.drop_attempt();
  }

 private:
  // Rarely needed: without it nothing is to be destroyed.
  struct Newest {
    Ref<ChainState> chain;
  };

  [[nodiscard]] const HcmConfig& routing() const {
    return routing_ == nullptr ? s_.config() : *routing_;
  }

  Stream& s_;
  Newest* newest_ = nullptr;            // pins `routing_`; the arena's
  const HcmConfig* routing_ = nullptr;  // newer than the stream; null: the stream's is used
};

bool Stream::run_request_filters(bool end) {
  FilterHost& host = *arena_.create<Filters>(*this);
  filters_ = arena_.create<FilterRun>(host, *config().filters, chain_->filters);
  return filters_->on_request_head(end);
}

}  // namespace pillion::core
