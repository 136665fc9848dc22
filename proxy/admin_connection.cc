#include "proxy/admin_connection.h"

#include <utility>

namespace pillion {
namespace {

constexpr http::H1Limits kH1Limits;

}  // namespace

// ---- AdminConnection ----

AdminConnection::AdminConnection(AdminListener& listener)
    : listener_(listener),
      server_(std::make_unique<http::H1ServerConnection>(
          listener.loop_, listener.batch_, kH1Limits,
          static_cast<http::H1ServerConnection::Owner&>(*this))) {}

void AdminConnection::start(std::unique_ptr<io::Transport> transport) {
  server_->start(std::move(transport), {});
  touch();
  server_->read_now();
}

void AdminConnection::touch() { listener_.loop_.arm(timer_, listener_.limits_.idle_timeout); }

http::RequestSink& AdminConnection::new_stream() {
  exchange_ = new AdminExchange(*this);
  timer_.cancel();
  listener_.loop_.arm(timer_, listener_.limits_.request_timeout);
  return *exchange_;
}

void AdminConnection::on_timer() {
  if (exchange_ != nullptr && !exchange_->is_answering())
    return exchange_->fail({FailureKind::kRequestTimeout});
  close({FailureKind::kIdleTimeout});
}

void AdminConnection::on_exchange_done(bool) {
  end_exchange();
  touch();
}

void AdminConnection::end_exchange() {
  AdminExchange* exchange = std::exchange(exchange_, nullptr);
  if (exchange == nullptr) return;
  exchange->detach();
  listener_.loop_.delete_later(exchange);
}

void AdminConnection::on_server_closed(Failure) {
  timer_.cancel();
  end_exchange();
  listener_.loop_.delete_later(std::move(server_));
  listener_.on_connection_closed(*this);
}

// ---- AdminExchange ----

void AdminExchange::detach() noexcept {
  connection_ = nullptr;
  ListNode<io::ReadyTag>::unlink();
}

void AdminExchange::on_request_head(bool end) {
  const bool is_bodiless =
      request_.framing != http::Framing::kChunked && request_.content_length == 0;
  if (end || is_bodiless) return answer();  // an upgrade is not taken: the request is complete, too
  if (request_.content_length > kMaxBodyBytes) return fail({FailureKind::kPayloadTooLarge});
  if (!request_.expects_continue) return;
  http::ResponseHead interim(arena_);
  interim.status = 100;
  connection_->server_->send_informational(interim);
}

void AdminExchange::on_request_body(std::string_view data, bool end) {
  if (answering_) return;
  if (body_.size() + data.size() > kMaxBodyBytes) return fail({FailureKind::kPayloadTooLarge});
  body_ += data;
  if (end) answer();
}

void AdminExchange::on_request_failed(Failure failure) {
  const bool is_gone = failure.row().status == 0;
  if (!is_gone && !answering_) fail(failure);
}

void AdminExchange::fail(Failure failure) {
  connection_->server_->drain();  // where the next request would begin is not known
  response_.fail(failure.row().status, std::string(failure.row().body));
  send_head();
}

void AdminExchange::answer() {
  if (answering_) return;
  admin::Request request =
      admin::Request::parse(request_.method_text, request_.path,
                            request_.headers.get(http::HeaderId::kContentType), body_);
  request.host = request_.authority;
  if (const http::Field* origin = request_.headers.find("origin")) request.origin = origin->value;
  connection_->listener_.router_.handle(request, response_);
  send_head();
}

void AdminExchange::send_head() {
  answering_ = true;
  AdminListener& listener = connection_->listener_;
  http::ResponseHead head(arena_);
  head.status = static_cast<uint16_t>(response_.status);
  for (const auto& [name, value] : response_.headers()) head.headers.add_copy(name, value);
  head.headers.add("date", listener.date_.get(listener.loop_.now()));
  if (response_.stream != nullptr) {
    head.framing = http::Framing::kChunked;
  } else {
    head.framing = http::Framing::kLength;
    head.content_length = response_.body.size();
    head.has_content_length = true;
  }
  const bool has_body = response_.stream != nullptr || !response_.body.empty();
  const bool end = !has_body || request_.method == http::Method::kHead;
  connection_->touch();
  connection_->server_->send_head(head, end);
  if (!end) listener.loop_.post(*this);
}

// False: that was the last.
bool AdminExchange::next_piece(std::string_view& piece) {
  if (sent_ < response_.body.size()) {
    piece = std::string_view(response_.body).substr(sent_, stats::TextSource::kPieceBytes);
    sent_ += piece.size();
    return sent_ < response_.body.size() || response_.stream != nullptr;
  }
  piece_.clear();
  const bool has_more = response_.stream->next(piece_);
  piece = piece_;
  return has_more;
}

void AdminExchange::send_piece() {
  AdminConnection& connection = *connection_;
  AdminListener& listener = connection.listener_;
  std::string_view piece;
  const bool has_more = next_piece(piece);
  connection.touch();
  connection.server_->send_body(piece, !has_more);
  listener.batch_.flush();  // before piece_ changes
  if (connection_ == nullptr || !has_more) return;
  if (!connection.server_->is_backed_up()) listener.loop_.post_next(*this);
}

void AdminExchange::on_response_drained() {
  if (connection_ == nullptr || !answering_) return;
  connection_->touch();
  connection_->listener_.loop_.post_next(*this);
}

}  // namespace pillion
