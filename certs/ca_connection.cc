#include "certs/ca_connection.h"

#include <utility>

#include "certs/ca_messages.h"
#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "proxy/http/grpc.h"
#include "proxy/upstream/grpc_call.h"

namespace pillion::certs {
namespace {

constexpr Duration kIdleTimeout = std::chrono::seconds(60);
constexpr Duration kDrainGrace = std::chrono::milliseconds(200);
constexpr Duration kDrainLimit = std::chrono::seconds(5);

}  // namespace

// ---- CaExchange ----

void CaExchange::cut_off() {
  ListNode<>::unlink();
  stream_ = nullptr;
  connection_->server().loop_.delete_later(this);
}

void CaExchange::on_request_head(bool end) {
  connection_->touch();
  if (request_.method != http::Method::kPost) return refuse_http(405);
  if (!http::is_grpc(request_.headers)) return refuse_http(415);
  if (request_.path != kCreateCertificate)
    return refuse(upstream::kGrpcUnimplemented, "no such method");
  if (end) answer();
}

void CaExchange::on_request_body(std::string_view data, bool end) {
  if (stream_ == nullptr) return;
  bool is_second = false;
  const char* wrong = frames_.feed(data, [&](std::string_view message) {
    is_second = std::exchange(has_message_, true);
    message_.assign(message);
    return !is_second;
  });
  if (is_second) wrong = "more than one message";
  if (wrong != nullptr) return refuse(upstream::kGrpcInvalidArgument, wrong);
  if (end) answer();
}

void CaExchange::on_request_failed(Failure failure) {
  const bool is_gone = failure.kind == FailureKind::kDownstreamReset ||
                       failure.kind == FailureKind::kDownstreamClosed;
  if (is_gone || stream_ == nullptr) return;
  const uint16_t status = failure.row().status;
  status == 0 ? stream_->reset(failure) : refuse_http(status);
}

void CaExchange::answer() {
  if (stream_ == nullptr) return;
  if (!has_message_ || frames_.is_inside())
    return refuse(upstream::kGrpcInvalidArgument, "the message is cut off");
  const CaService::Reply reply = connection_->server().service_.create_certificate(
      request_.headers.get(http::HeaderId::kAuthorization), message_, tls::unix_seconds());
  if (reply.status != upstream::kGrpcOk) {
    log::warning(log::kTls, "certificate refused",
                 {{"identity", reply.identity.empty() ? "unknown" : reply.identity},
                  {"reason", reply.message}});
    return refuse(reply.status, reply.message);
  }
  log::info(log::kTls, "certificate issued",
            {{"identity", reply.identity}, {"seconds", reply.life_s}});
  send(reply.response);
}

void CaExchange::send(std::string_view response) {
  io::WriteBatch& batch = connection_->server().batch_;
  connection_->touch();
  response_ = http::grpc_frame(response);
  auto* head = arena_.create<http::ResponseHead>(arena_);
  head->status = 200;
  head->framing = http::Framing::kChunked;
  head->headers.add(http::HeaderId::kContentType, http::kGrpcContentType);
  http::H2ServerStream* stream = stream_;
  stream->send_head(*head, false);
  stream->send_body(response_, false);
  auto* trailers = arena_.create<http::Headers>(arena_);
  trailers->add(http::HeaderId::kGrpcStatus, "0");
  stream->send_trailers(*trailers);
  batch.flush();  // it may point into response_
}

void CaExchange::refuse(uint32_t status, std::string_view message) {
  auto* head = arena_.create<http::ResponseHead>(arena_);
  head->status = 200;
  head->framing = http::Framing::kNone;
  head->headers.add(http::HeaderId::kContentType, http::kGrpcContentType);
  head->headers.add(http::HeaderId::kGrpcStatus, arena_.copy(str(status)));
  head->headers.add(http::HeaderId::kGrpcMessage, http::grpc_message_text(message, arena_));
  stream_->send_head(*head, true);
}

void CaExchange::refuse_http(uint16_t status) {
  auto* head = arena_.create<http::ResponseHead>(arena_);
  head->status = status;
  head->framing = http::Framing::kNone;
  stream_->send_head(*head, true);
}

// ---- CaConnection ----

CaConnection::CaConnection(CaServer& server)
    : server_(server),
      h2_(std::make_unique<http::H2ServerConnection>(
          server.loop_, server.batch_, server.limits_, server.h2_,
          static_cast<http::H2ServerConnection::Owner&>(*this))) {}

void CaConnection::start(std::unique_ptr<io::Transport> transport, bool connected) {
  touch();
  h2_->start(std::move(transport), {}, connected);
  if (connected) h2_->read_now();
}

void CaConnection::touch() { server_.loop_.arm(timer_, kIdleTimeout); }

http::H2Exchange& CaConnection::new_exchange(http::H2ServerStream& stream) {
  auto* exchange = new CaExchange(*this, stream);
  exchanges_.push_back(*exchange);
  return *exchange;
}

// A request may be on its way: first the client is told.
void CaConnection::on_timer() {
  if (h2_->is_draining()) return close({FailureKind::kIdleTimeout});
  server_.loop_.arm(timer_, kDrainLimit);
  h2_->drain(kDrainGrace);
}

void CaConnection::on_server_closed(Failure failure) {
  timer_.cancel();
  const std::string_view reason = h2_->transport().failure_reason();
  if (!reason.empty()) {
    log::warning(log::kTls, "a client's connection failed", {{"reason", reason}});
  } else {
    log::debug(log::kTls, "a client's connection ended", {{"reason", failure.row().details}});
  }
  while (CaExchange* exchange = exchanges_.front()) exchange->cut_off();
  server_.loop_.delete_later(std::move(h2_));
  server_.on_connection_closed(*this);
}

}  // namespace pillion::certs
