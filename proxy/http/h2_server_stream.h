#pragma once
// H2ServerStream: one stream of an H2ServerConnection: the client's side of an exchange.
//
// Owned by its connection, which destroys it at the end of the turn in which the session forgot it.
// The Exchange is cut off before: when the response is made, when either side resets the stream, or
// when the connection closes (then without a call).
//
// After a response before the end of its request the stream lingers: what the client still sends is
// dropped (64 KiB or linger_time), then the stream is reset with NO_ERROR (RFC 9113, 8.1).  Reset
// at once, some clients take the response for broken.
//
// In a tunnel (CONNECT, and the upgrades that come as CONNECT with :protocol) the directions end
// one by one, and the session may have forgotten the stream before what the client sent has left
// us.

#include <cstdint>

#include "proxy/base/intrusive_list.h"
#include "proxy/http/codec.h"
#include "proxy/http/h2_codec.h"
#include "proxy/http/h2_request.h"
#include "proxy/io/deferred.h"
#include "proxy/io/timer_wheel.h"

namespace pillion::http {

class H2ServerConnection;

// Lingering, so much is read and dropped.
inline constexpr uint32_t kH2LingerBytes = 64 * 1024;

// What the owner of a connection makes for each of its requests.
class H2Exchange {
 public:
  virtual RequestSink& sink() = 0;
  virtual RequestHead& request_head() = 0;
  virtual Headers& new_request_trailers() = 0;
  // A head of that many bytes was parsed; on_request_head of the sink follows.
  virtual void on_head_complete(size_t bytes) = 0;
  // The response is made or the stream reset; the exchange can go.  Last call.
  virtual void on_exchange_done() = 0;

 protected:
  ~H2Exchange() = default;
};

class H2ServerStream final : public io::Deferred,
                             public DownstreamStream,
                             public H2Stream,
                             public ListNode<> {
 public:
  explicit H2ServerStream(H2ServerConnection& connection);
  ~H2ServerStream() override;
  static void* operator new(size_t size);
  static void operator delete(void* memory) noexcept;

  // DownstreamStream
  void send_informational(const ResponseHead& head) override;
  void send_head(const ResponseHead& head, bool end) override;
  void send_body(std::string_view data, bool end) override;
  void send_trailers(const Headers& trailers) override;
  void half_close() override;
  void reset(Failure failure) override;
  void pause_request() override { paused_ = true; }
  void resume_request() override;
  [[nodiscard]] bool is_backed_up() const noexcept override { return is_stalled(); }

 private:
  friend class H2ServerConnection;

  [[nodiscard]] H2Session& session() const noexcept;
  // The request, as the connection delivers it.
  void begin_trailers();
  void add_field(std::string_view name, std::string_view value);
  void end_head(bool end);
  void end_trailers(bool end);
  void take_data(std::string_view data, bool end);
  // The codec refuses the message.
  void refuse(FailureKind kind);
  // Whoever works for it stops.
  void fail(Failure failure);
  void response_done();
  // END_STREAM is sent.
  void end_sent_now();
  // Cuts the exchange off and tells it.
  void end_exchange();
  void on_timeout();
  // What the client is told of a failure.
  [[nodiscard]] H2Error error_of(Failure failure) const noexcept;
  [[nodiscard]] bool is_tunnel_request() const noexcept { return is_connect_ || is_upgrade_; }

  H2ServerConnection& connection_;
  H2Exchange* exchange_ = nullptr;  // null after its end
  H2RequestReader reader_;
  // A client that does not take a finished response; then, one that does not end its request.
  io::Timer timer_;
  uint64_t body_left_ = 0;   // of Content-Length
  uint32_t unreturned_ = 0;  // bytes of the window that pause_request() holds back
  uint32_t dropped_ = 0;     // bytes that came after the response
  bool has_length_ : 1 = false;
  bool is_head_request_ : 1 = false;
  bool in_trailers_ : 1 = false;
  bool head_done_ : 1 = false;
  bool paused_ : 1 = false;
  bool head_sent_ : 1 = false;
  bool is_connect_ : 1 = false;
  bool is_upgrade_ : 1 = false;        // CONNECT with :protocol
  bool half_closed_ : 1 = false;       // half_close() was called
  bool outlives_session_ : 1 = false;  // which has forgotten it: both directions have ended
};

}  // namespace pillion::http
