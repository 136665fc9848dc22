#include "proxy/http/h2_client_stream.h"

#include <array>
#include <charconv>
#include <utility>

#include "proxy/base/free_list.h"
#include "proxy/base/str.h"
#include "proxy/http/h2_client.h"

namespace pillion::http {
namespace {

thread_local FreeList free_streams{sizeof(H2ClientStream), 256};

constexpr Field pseudo_field(std::string_view name, std::string_view value,
                             bool never_index = false) {
  return {name, value, HeaderId::kUnknown, never_index};
}

// Its own spelling: clients of HTTP/1 write "WebSocket", which is compared without case there.
std::string_view protocol_of(std::string_view upgrade) noexcept {
  return equals_ignore_case(upgrade, "websocket") ? std::string_view("websocket") : upgrade;
}

// What stands before the request's own fields.  `text` keeps what was made for it.
struct RequestFields {
  std::array<Field, 8> fields;
  size_t count = 0;
  char text[20];

  void add(const Field& field) noexcept { fields[count++] = field; }

  explicit RequestFields(const RequestHead& head) noexcept {
    add(pseudo_field(":method", head.upgrade.empty() ? head.method_text : "CONNECT"));
    if (!head.upgrade.empty()) add(pseudo_field(":protocol", protocol_of(head.upgrade)));
    if (head.method != Method::kConnect) {  // RFC 9113, 8.5
      add(pseudo_field(":scheme", head.scheme.empty() ? std::string_view("http") : head.scheme));
      add(pseudo_field(":path", head.path, head.path_never_index));
    }
    if (!head.authority.empty())
      add(pseudo_field(":authority", head.authority, head.authority_never_index));
    if (head.framing == Framing::kLength) {
      const auto r = std::to_chars(text, text + sizeof text, head.content_length);
      const std::string_view digits{text, static_cast<size_t>(r.ptr - text)};
      add({header_name(HeaderId::kContentLength), digits, HeaderId::kContentLength});
    }
    if (head.te_trailers) add({header_name(HeaderId::kTe), "trailers", HeaderId::kTe});
    if (head.expects_continue) {
      add({header_name(HeaderId::kExpect), "100-continue", HeaderId::kExpect});
    }
  }
  RequestFields(const RequestFields&) = delete;
  RequestFields& operator=(const RequestFields&) = delete;
};

using Event = ClientConnection::Event;

}  // namespace

void* H2ClientStream::operator new(size_t) { return free_streams.take(); }
void H2ClientStream::operator delete(void* memory) noexcept { free_streams.give(memory); }

// ---- the request ----

void H2ClientStream::send_head(const RequestHead& head, bool end) {
  if (connection_.closed_) return;
  method_ = head.method;
  if (!head.upgrade.empty()) {
    method_ = Method::kConnect;
    upgrade_ = head.upgrade;
    if (!connection_.takes_upgrade(*this, head)) return;
  }
  open(head, end);
}

bool H2ClientStream::is_backed_up() const noexcept { return is_stalled() || !connection_.settled_; }

void H2ClientStream::on_settings() {
  awaits_settings_ = false;
  if (const RequestHead* head = std::exchange(waiting_, nullptr)) return send_head(*head, false);
  if (!is_stalled()) on_drained();
}

void H2ClientStream::open(const RequestHead& head, bool end) {
  const RequestFields first(head);
  const bool opened =
      connection_.session_->send_head(*this, {first.fields.data(), first.count}, head.headers, end);
  if (!opened) {  // not on the stack of the caller
    unlink();
    connection_.unsent_.push_back(*this);
  }
  connection_.send_soon();
}

void H2ClientStream::send_body(std::string_view data, bool end) {
  if (connection_.closed_ || sink_ == nullptr || id() == 0) return;
  // It may write, and tell of other streams.
  const bool was_in_session = std::exchange(connection_.in_session_, true);
  connection_.session_->send_data(*this, data, end);
  connection_.in_session_ = was_in_session;
  connection_.send_soon();
}

void H2ClientStream::send_trailers(const Headers& trailers) {
  if (connection_.closed_ || sink_ == nullptr || id() == 0) return;
  if (trailers.count() == 0) return send_body({}, true);
  connection_.session_->send_trailers(*this, trailers);
  connection_.send_soon();
}

void H2ClientStream::reset() {
  if (sink_ == nullptr) return;
  end_sink();
  if (!is_over()) return connection_.give_up(*this, H2Error::kCancel);
  if (!end_sent()) connection_.watch_end(*this);
}

void H2ClientStream::resume_response() {
  paused_ = false;
  if (owed_ == 0 || connection_.closed_) return;
  connection_.session_->consume(*this, std::exchange(owed_, 0));
  connection_.send_soon();
}

// ---- the response ----

void H2ClientStream::on_head_begun() {
  if (sink_ == nullptr) return;
  if (state_ == State::kWaiting) {
    head_ = &sink_->new_response_head();
    return reader_.begin(*head_);
  }
  state_ = State::kTrailers;
  trailers_ = &sink_->new_response_trailers();
  reader_.begin_trailers(*trailers_);
}

void H2ClientStream::on_field(std::string_view name, std::string_view value,
                              const H1Limits& limits) {
  if (sink_ == nullptr) return;
  reader_.add(name, value, limits, connection_.session_->is_field_sensitive());
}

void H2ClientStream::on_head_ended(bool end) {
  if (sink_ == nullptr) return;
  const FailureKind failure = reader_.finish(method_, end);
  if (failure != FailureKind::kNone) return malformed(failure);
  // RFC 9113, 8.5: a tunnel has DATA alone.
  if (state_ == State::kTrailers && is_tunnel_) return malformed(FailureKind::kUpstreamProtocol);
  if (state_ == State::kTrailers) return take_trailers();
  head_->status < 200 ? take_interim() : take_head(end);
}

void H2ClientStream::take_interim() {
  if (++interim_ > kMaxInformational) {
    connection_.event(Event::kInterimFlood);
    connection_.give_up(*this, H2Error::kEnhanceYourCalm);
    return fail({FailureKind::kUpstreamProtocol});
  }
  sink_->on_informational(*std::exchange(head_, nullptr));
}

void H2ClientStream::take_head(bool end) {
  state_ = State::kBody;
  if (method_ == Method::kConnect && head_->status / 100 == 2) return take_tunnel(end);
  bodiless_ = head_->framing == Framing::kNone;
  has_length_ = head_->framing == Framing::kLength;
  content_length_ = head_->content_length;
  // What cannot have a body ends here, whether or not END_STREAM came with it.
  if (end || bodiless_) return end_sink().on_response_head(*head_, true);
  sink_->on_response_head(*head_, false);
}

// RFC 8441, 5: agreement to an upgrade is what 101 is in HTTP/1.
void H2ClientStream::take_tunnel(bool end) {
  is_tunnel_ = true;
  if (!upgrade_.empty()) {
    head_->status = 101;
    head_->upgrade = upgrade_;
  }
  sink_->on_response_head(*head_, false);
  if (end && !connection_.closed_ && sink_ != nullptr) sink_->on_response_half_closed();
}

void H2ClientStream::on_data(std::string_view data, bool end) {
  received_ += data.size();
  if (sink_ == nullptr || state_ != State::kBody || has_wrong_length(end)) {
    connection_.session_->consume_connection(data.size());
    // Bytes behind a response that has none, or before its head.
    const bool is_wrong =
        sink_ != nullptr || (bodiless_ && !data.empty() && state_ == State::kBody);
    if (is_wrong) malformed(FailureKind::kUpstreamProtocol);
    return;
  }
  const bool is_half = end && is_tunnel_ && !end_sent();
  if (end && !is_half) {
    end_sink().on_response_body(data, true);
  } else if (!data.empty()) {
    sink_->on_response_body(data, false);
  }
  if (connection_.closed_) return;
  if (is_half && sink_ != nullptr) sink_->on_response_half_closed();
  if (connection_.closed_) return;
  if (sink_ == nullptr) return connection_.session_->consume_connection(data.size());
  if (paused_) {
    owed_ += data.size();
  } else {
    connection_.session_->consume(*this, data.size());
  }
}

void H2ClientStream::complete() {
  if (sink_ != nullptr) end_sink().on_response_body({}, true);
}

bool H2ClientStream::has_wrong_length(bool end) const noexcept {
  return has_length_ && (received_ > content_length_ || (end && received_ != content_length_));
}

void H2ClientStream::take_trailers() {
  if (has_wrong_length(true)) return malformed(FailureKind::kUpstreamProtocol);
  connection_.event(Event::kTrailers);
  Headers& trailers = *trailers_;
  ResponseSink& sink = end_sink();
  trailers.count() == 0 ? sink.on_response_body({}, true) : sink.on_response_trailers(trailers);
}

// A stream error (RFC 9113, 8.1.1); the others of the connection go on.
void H2ClientStream::malformed(FailureKind kind) {
  connection_.event(kind == FailureKind::kUpstreamProtocol ? Event::kMalformed : Event::kTooLarge);
  connection_.give_up(*this, H2Error::kProtocol);
  fail({FailureKind::kUpstreamProtocol});
}

// ---- the end ----

ResponseSink& H2ClientStream::end_sink() {
  ResponseSink& sink = *std::exchange(sink_, nullptr);
  sink.on_wire_bytes(wire_sent(), wire_received());
  return sink;
}

// The sink has not said reset() yet: it may hold the server's end back, or be about to say it.
void H2ClientStream::end_tunnel() {
  if (sink_ != nullptr) end_sink().on_response_body({}, true);
}

void H2ClientStream::fail(Failure failure) {
  if (sink_ != nullptr) end_sink().on_upstream_reset(failure);
}

void H2ClientStream::fail_with_connection(Failure failure) {
  const bool in_message = state_ == State::kBody || state_ == State::kTrailers;
  if (failure.kind == FailureKind::kUpstreamClosed && in_message) {
    failure.kind = FailureKind::kUpstreamTruncated;
  } else if (failure.kind == FailureKind::kUpstreamTruncated && !in_message) {
    // TLS without its farewell (a peer that was killed): nothing is cut where nothing has come.
    failure.kind = FailureKind::kUpstreamClosed;
  }
  fail(failure);
}

}  // namespace pillion::http
