#pragma once
// The seams between a stream and the protocols on its two sides.  A stream never sees wire bytes,
// a codec never sees routes; HTTP/1 and HTTP/2 implement the same four interfaces.
//
//   client <-> DownstreamStream <-> stream <-> UpstreamStream <-> server
//
// Lifetimes: each side tells the other before it goes (on_reset, reset), and both then forget the
// other.  Body views are valid during the call only.  After a call *up* (RequestSink, ResponseSink)
// the caller checks whether it was closed meanwhile.

#include <cstdint>
#include <string_view>

#include "proxy/base/failure.h"
#include "proxy/http/message.h"

namespace pillion::http {

// The client's side of an exchange, as the stream sees it.  Implemented by a codec's connection.
// Calls match: send_informational* send_head send_body* (send_trailers)?, or reset at any point.
class DownstreamStream {
 public:
  virtual void send_informational(const ResponseHead& head) = 0;
  // `end`: nothing follows.
  virtual void send_head(const ResponseHead& head, bool end) = 0;
  virtual void send_body(std::string_view data, bool end) = 0;
  virtual void send_trailers(const Headers& trailers) = 0;
  // Of a tunnel: our direction ends now, the client's goes on.  send_body({}, true) follows when
  // that has ended as well, and ends the exchange.
  virtual void half_close() = 0;
  // Breaks the exchange off.  What was sent cannot be mistaken for a complete response.
  virtual void reset(Failure failure) = 0;
  // Stops and restarts the request body; what is in flight may still arrive.
  virtual void pause_request() = 0;
  virtual void resume_request() = 0;
  // The response is not taken as fast as it comes: on_response_drained will tell when it is.
  [[nodiscard]] virtual bool is_backed_up() const noexcept = 0;

 protected:
  ~DownstreamStream() = default;
};

// What a codec delivers of a request.  Implemented by the stream.
class RequestSink {
 public:
  virtual void on_request_head(bool end) = 0;  // the head was parsed into request_head()
  virtual void on_request_body(std::string_view data, bool end) = 0;
  virtual void on_request_trailers() = 0;  // parsed into request_trailers()
  // The client is gone, or sent what cannot be parsed.  Nothing follows.
  virtual void on_request_failed(Failure failure) = 0;
  virtual void on_response_drained() = 0;

 protected:
  ~RequestSink() = default;
};

// The server's side of one attempt.  Implemented by an upstream connection.
// Calls match: send_head send_body* (send_trailers)?, or reset at any point.
class UpstreamStream {
 public:
  // A head that asks for an upgrade stays where it is until the answer: it may have to wait.
  virtual void send_head(const RequestHead& head, bool end) = 0;
  virtual void send_body(std::string_view data, bool end) = 0;
  virtual void send_trailers(const Headers& trailers) = 0;
  // Gives the attempt up; the sink hears nothing more.  Of a tunnel whose directions have both
  // ended (on_response_half_closed, and our end is with the transport) it is the orderly end.
  virtual void reset() = 0;
  virtual void pause_response() = 0;
  virtual void resume_response() = 0;
  [[nodiscard]] virtual bool is_backed_up() const noexcept = 0;

 protected:
  ~UpstreamStream() = default;
};

// What an upstream delivers.  Implemented by an attempt, a side call, a mirror, a control client.
class ResponseSink {
 public:
  // Where the next head is to be parsed into; called once per interim and final response.
  virtual ResponseHead& new_response_head() = 0;
  virtual Headers& new_response_trailers() = 0;
  virtual void on_informational(ResponseHead& head) = 0;
  virtual void on_response_head(ResponseHead& head, bool end) = 0;
  virtual void on_response_body(std::string_view data, bool end) = 0;
  virtual void on_response_trailers(Headers& trailers) = 0;
  // Of a tunnel: the server has ended its direction, and takes ours until we end it and reset(), or
  // on_response_body({}, true) tells (perhaps while we end it) that it has all, or takes no more.
  virtual void on_response_half_closed() {}
  // The connection broke or spoke nonsense.  Nothing follows; the UpstreamStream is gone.
  virtual void on_upstream_reset(Failure failure) = 0;
  // Room for more of the request after is_backed_up().
  virtual void on_request_drained() = 0;
  // Before the last call of the exchange, and when reset() ends it: what it cost on the wire, heads
  // and framing included, before TLS.
  virtual void on_wire_bytes(uint64_t /*sent*/, uint64_t /*received*/) {}
  // How much more of a response may be read in one go without being able to pass it on.
  virtual size_t read_limit() const noexcept = 0;

 protected:
  ~ResponseSink() = default;
};

}  // namespace pillion::http
