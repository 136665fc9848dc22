#include "proxy/http/h2_server_stream.h"

#include <algorithm>
#include <charconv>

#include "proxy/base/assert.h"
#include "proxy/base/free_list.h"
#include "proxy/http/h2_server.h"

namespace pillion::http {
namespace {

constexpr size_t kBlockBytes = 384;
thread_local FreeList free_streams{kBlockBytes, 256};

// "200" without a conversion.
std::string_view status_text(uint16_t status, char (&text)[3]) {
  text[0] = static_cast<char>('0' + status / 100);
  text[1] = static_cast<char>('0' + status / 10 % 10);
  text[2] = static_cast<char>('0' + status % 10);
  return {text, 3};
}

}  // namespace

H2ServerStream::H2ServerStream(H2ServerConnection& connection)
    : connection_(connection), timer_(io::Timer::of<&H2ServerStream::on_timeout>(this)) {
  static_assert(sizeof(H2ServerStream) <= kBlockBytes);
}

H2ServerStream::~H2ServerStream() { DASSERT(exchange_ == nullptr); }

void* H2ServerStream::operator new(size_t) { return free_streams.take(); }
void H2ServerStream::operator delete(void* memory) noexcept { free_streams.give(memory); }

H2Session& H2ServerStream::session() const noexcept { return connection_.session_; }

// Its own mistake, or a failure behind us or of time, which are not.  A tunnel that is cut is
// CONNECT_ERROR (RFC 9113, 8.5), an upgrade's CANCEL (RFC 8441, 5).
H2Error H2ServerStream::error_of(Failure failure) const noexcept {
  switch (failure.kind) {
    case FailureKind::kH2Malformed:
    case FailureKind::kH2HeadTooLarge:
    case FailureKind::kH2TooManyFields:
      return H2Error::kProtocol;
    default:
      if (is_connect_) return H2Error::kConnect;
      return is_upgrade_ ? H2Error::kCancel : H2Error::kInternal;
  }
}

// ---- the request ----

void H2ServerStream::begin_trailers() {
  if (exchange_ == nullptr) return;
  in_trailers_ = true;
  reader_.begin_trailers(exchange_->new_request_trailers());
}

void H2ServerStream::add_field(std::string_view name, std::string_view value) {
  if (exchange_ != nullptr)
    reader_.add(name, value, *connection_.limits_, session().is_field_sensitive());
}

void H2ServerStream::end_head(bool end) {
  if (exchange_ == nullptr) return;
  if (in_trailers_) return end_trailers(end);
  const FailureKind refused = reader_.finish(end);
  RequestHead& head = exchange_->request_head();
  is_head_request_ = head.method == Method::kHead;
  is_connect_ = head.method == Method::kConnect;
  is_upgrade_ = !head.upgrade.empty();
  head_done_ = true;
  exchange_->on_head_complete(reader_.bytes());
  if (refused != FailureKind::kNone) return refuse(refused);
  has_length_ = head.framing == Framing::kLength;
  body_left_ = head.content_length;
  exchange_->sink().on_request_head(end);
}

void H2ServerStream::end_trailers(bool end) {
  FailureKind refused = reader_.finish(end);
  // RFC 9113, 8.5: a tunnel has DATA alone.
  if (is_tunnel_request() || (has_length_ && body_left_ != 0)) refused = FailureKind::kH2Malformed;
  if (refused != FailureKind::kNone) return refuse(refused);
  connection_.owner_.on_event(H2ServerConnection::Event::kTrailers);
  exchange_->sink().on_request_trailers();
}

void H2ServerStream::take_data(std::string_view data, bool end) {
  if (exchange_ == nullptr) {
    session().consume_connection(data.size());
    dropped_ += static_cast<uint32_t>(data.size());
    if (dropped_ > kH2LingerBytes && end_sent()) session().reset(*this, H2Error::kNone);
    return;
  }
  if (has_length_) {
    const bool too_much = data.size() > body_left_;
    body_left_ -= std::min<uint64_t>(data.size(), body_left_);
    if (too_much || (end && body_left_ != 0)) {
      session().consume_connection(data.size());
      return refuse(FailureKind::kH2Malformed);
    }
  }
  exchange_->sink().on_request_body(data, end);
  if (connection_.closed_) return;
  if (paused_ && !end && exchange_ != nullptr) {
    unreturned_ += static_cast<uint32_t>(data.size());
  } else {
    session().consume(*this, data.size());
  }
}

void H2ServerStream::resume_request() {
  paused_ = false;
  if (connection_.closed_ || unreturned_ == 0) return;
  session().consume(*this, std::exchange(unreturned_, 0));
  connection_.send_soon();
}

void H2ServerStream::refuse(FailureKind kind) {
  connection_.owner_.on_malformed(kind);
  // It is answered, and so would earn what it costs; twice, for no client means it well that often.
  const bool is_too_much =
      kind == FailureKind::kH2HeadTooLarge || kind == FailureKind::kH2TooManyFields;
  if (is_too_much) {
    session().count_offence();
    session().count_offence();
  }
  if (exchange_ != nullptr) exchange_->sink().on_request_failed({kind});
}

void H2ServerStream::fail(Failure failure) {
  if (exchange_ == nullptr) return;
  exchange_->sink().on_request_failed(failure);
  end_exchange();
}

// ---- the response ----

void H2ServerStream::send_informational(const ResponseHead& head) {
  if (exchange_ == nullptr) return;
  char text[3];
  const Field status{":status", status_text(head.status, text), HeaderId::kUnknown};
  session().send_informational(*this, {&status, 1}, head.headers);
  connection_.send_soon();
}

void H2ServerStream::send_head(const ResponseHead& head, bool end) {
  if (exchange_ == nullptr) return;
  char text[3];
  char digits[20];
  // RFC 8441, 5: 2xx is what 101 is in HTTP/1.
  const uint16_t status = head.status == 101 ? 200 : head.status;
  const bool is_tunnel = head.status == 101 || (is_connect_ && status / 100 == 2);
  Field fields[2] = {{":status", status_text(status, text), HeaderId::kUnknown}, {}};
  size_t count = 1;
  // Of a response to HEAD and a 304 it speaks of the body that there would have been.
  const bool bodiless = is_head_request_ || head.status == 204 || head.status == 304;
  const bool says_length =
      bodiless ? head.has_content_length && head.status != 204
               : head.framing == Framing::kLength || (end && head.has_content_length);
  if (says_length && !is_tunnel) {
    const uint64_t length = end && !bodiless ? 0 : head.content_length;
    const char* const last = std::to_chars(digits, digits + sizeof digits, length).ptr;
    fields[count++] = {header_name(HeaderId::kContentLength),
                       {digits, static_cast<size_t>(last - digits)},
                       HeaderId::kContentLength};
  }
  head_sent_ = true;
  session().send_head(*this, {fields, count}, head.headers, end);
  connection_.send_soon();
  if (end) response_done();
}

void H2ServerStream::send_body(std::string_view data, bool end) {
  if (exchange_ == nullptr) return;
  if (!half_closed_) session().send_data(*this, data, end);
  connection_.send_soon();
  if (end) response_done();
}

void H2ServerStream::half_close() {
  if (exchange_ == nullptr) return;
  half_closed_ = true;
  session().send_data(*this, {}, true);
  connection_.send_soon();
}

void H2ServerStream::send_trailers(const Headers& trailers) {
  if (exchange_ == nullptr) return;
  session().send_trailers(*this, trailers);
  connection_.send_soon();
  response_done();
}

void H2ServerStream::reset(Failure failure) {
  if (exchange_ == nullptr) return;
  session().reset(*this, error_of(failure));
  connection_.send_soon();
  end_exchange();
}

void H2ServerStream::response_done() {
  if (exchange_ == nullptr) return;
  end_exchange();
  if (connection_.closed_) return;
  // What the client still sends is dropped, and its window is nobody's concern any more.
  if (unreturned_ != 0) session().consume_connection(std::exchange(unreturned_, 0));
  const Duration limit = connection_.limits_->flush_time;
  if (!end_sent() && limit != Duration{}) connection_.loop_.arm(timer_, limit);
}

void H2ServerStream::end_sent_now() {
  if (half_closed_ && exchange_ != nullptr) return;  // the client's direction goes on
  timer_.cancel();
  if (receive_ended()) return;
  const Duration limit = connection_.limits_->linger_time;
  if (limit == Duration{} || dropped_ > kH2LingerBytes)
    return session().reset(*this, H2Error::kNone);
  connection_.loop_.arm(timer_, limit);
}

void H2ServerStream::end_exchange() {
  if (H2Exchange* exchange = std::exchange(exchange_, nullptr)) exchange->on_exchange_done();
  if (outlives_session_ && !connection_.closed_) connection_.forget(*this);
}

void H2ServerStream::on_timeout() {
  if (connection_.closed_) return;
  if (!end_sent()) connection_.owner_.on_event(H2ServerConnection::Event::kFlushTimeout);
  session().reset(*this, end_sent() ? H2Error::kNone : H2Error::kCancel);
  connection_.send_soon();
}

}  // namespace pillion::http
