#pragma once
// H2ClientStream: one exchange on an H2ClientConnection: the request on its way out, the response
// as it is read, judged and handed to the sink.  Internal to h2_client*.cc.
//
// Owned by its connection.  The sink is cut off before its last call, and when either side gives
// up; a stream without a sink waits for the session to forget it.

#include <cstdint>
#include <string_view>

#include "proxy/base/intrusive_list.h"
#include "proxy/http/codec.h"
#include "proxy/http/h2_codec.h"
#include "proxy/http/h2_response.h"
#include "proxy/io/deferred.h"

namespace pillion::http {

class H2ClientConnection;

class H2ClientStream final : public H2Stream,
                             public UpstreamStream,
                             public io::Deferred,
                             public ListNode<> {
 public:
  H2ClientStream(H2ClientConnection& connection, ResponseSink& sink) noexcept
      : connection_(connection), sink_(&sink) {}
  static void* operator new(size_t size);
  static void operator delete(void* memory) noexcept;

  // UpstreamStream
  void send_head(const RequestHead& head, bool end) override;
  void send_body(std::string_view data, bool end) override;
  void send_trailers(const Headers& trailers) override;
  void reset() override;
  void pause_response() override { paused_ = true; }
  void resume_response() override;
  // Also while the peer's SETTINGS have not come: a server that allows fewer streams than we have
  // begun refuses the rest, which can be asked for again only as long as its body is still kept.
  [[nodiscard]] bool is_backed_up() const noexcept override;

  // From the connection.
  void on_head_begun();
  void on_field(std::string_view name, std::string_view value, const H1Limits& limits);
  void on_head_ended(bool end);
  void on_data(std::string_view data, bool end);
  // Room for more of the request.
  void on_drained() {
    if (sink_ != nullptr) sink_->on_request_drained();
  }
  // The peer's SETTINGS have come: sends what waited for them, and lets bodies go on.
  void on_settings();
  // A tunnel whose directions have both ended.
  [[nodiscard]] bool is_over() const noexcept {
    return is_tunnel_ && send_ended() && receive_ended();
  }
  // The session has forgotten a tunnel whose server has ended its direction: in order, because ours
  // has ended too or is not taken any more (RST_STREAM with NO_ERROR).
  [[nodiscard]] bool ends_tunnel() const noexcept { return is_tunnel_ && receive_ended(); }
  void end_tunnel();
  // The exchange broke; its sink, if it still has one, is told.
  void fail(Failure failure);
  // As fail(), of a connection that is gone: what is known of the response decides how.
  void fail_with_connection(Failure failure);
  [[nodiscard]] bool has_sink() const noexcept { return sink_ != nullptr; }
  // The response is complete, be it told or not: END_STREAM and trailers may follow.
  [[nodiscard]] bool is_answered() const noexcept {
    return sink_ == nullptr || (has_length_ && received_ == content_length_);
  }
  // Of an answered one: nothing will follow.
  void complete();

 private:
  friend class H2ClientConnection;
  enum class State : uint8_t { kWaiting, kBody, kTrailers };

  void open(const RequestHead& head, bool end);
  void take_interim();
  void take_head(bool end);
  void take_tunnel(bool end);
  void take_trailers();
  void malformed(FailureKind kind);
  // The last call of the sink follows.
  ResponseSink& end_sink();
  [[nodiscard]] bool has_wrong_length(bool end) const noexcept;

  H2ClientConnection& connection_;
  ResponseSink* sink_;
  ResponseHead* head_ = nullptr;  // in the sink's arena
  Headers* trailers_ = nullptr;
  std::string_view upgrade_;              // what the request asks for; the request's
  const RequestHead* waiting_ = nullptr;  // until it is known whether the peer takes upgrades
  H2ResponseReader reader_;
  uint64_t received_ = 0;  // of the body
  uint64_t content_length_ = 0;
  size_t owed_ = 0;  // of the windows: received and not passed on
  Method method_ = Method::kGet;
  State state_ = State::kWaiting;
  uint8_t interim_ = 0;
  bool has_length_ : 1 = false;
  bool bodiless_ : 1 = false;  // DATA with bytes is an error
  bool paused_ : 1 = false;
  bool given_up_ : 1 = false;  // we reset it
  bool is_tunnel_ : 1 = false;
  bool upgrade_forbidden_ : 1 = false;  // by the peer's SETTINGS
  bool awaits_settings_ : 1 = false;    // on_settings() is still to be called
  uint8_t patience_ = 0;  // of H2ClientConnection, with an answered one that has not ended
};

}  // namespace pillion::http
