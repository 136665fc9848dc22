#pragma once
// ClientConnection: a connection to an upstream as pools and streams see it, whatever it speaks.
// HTTP/1 carries one exchange at a time, HTTP/2 as many as both sides allow.
//
// Owned by its pool (the Owner), which hears when it connects, has room again and ends.  A stream
// calls begin() and uses what that returns until the exchange ends.
//
// Calls match: start (on_client_connected (begin exchange)*)? on_client_closed; or adopt, of a
// transport that is connected already, and then the same without on_client_connected.

#include <cstdint>
#include <memory>
#include <string_view>

#include "proxy/base/clock.h"
#include "proxy/http/codec.h"
#include "proxy/http/h2_flood.h"
#include "proxy/io/deferred.h"
#include "proxy/io/transport.h"

namespace pillion::http {

class ClientConnection : public io::Deferred {
 public:
  // Of what codecs see of a peer; the pool counts them.
  enum class Event : uint8_t {
    kMalformed,
    kTooLarge,
    kTruncated,
    kUnsolicited,
    kInterimFlood,
    // Of HTTP/2.
    kStreamBegun,
    kStreamEnded,
    kResetByPeer,
    kResetByUs,
    kStreamRefused,
    kTrailers,
    kCutOff,  // a response was complete, and its stream never ended
    kConnectionError,
    kKeepaliveTimeout,
    kGoawaySent,
  };
  class Owner {
   public:
    virtual void on_client_connected(ClientConnection& connection) = 0;
    // An exchange ended and another may begin.
    virtual void on_client_idle(ClientConnection& connection) = 0;
    // Of HTTP/2: how many exchanges may run has changed, or it was looked at whether the peer has
    // ended the connection.
    virtual void on_client_room(ClientConnection& /*connection*/) {}
    // Of HTTP/2: the peer takes no further exchanges.
    virtual void on_client_leaving(ClientConnection& /*connection*/) {}
    // It is closed.  The owner forgets it and passes it to Loop::delete_later.
    virtual void on_client_closed(ClientConnection& connection, Failure failure) = 0;
    virtual void on_client_event(ClientConnection& connection, Event event) = 0;
    // Of HTTP/2: the peer is being cut off because of what it sends.
    virtual void on_client_flood(ClientConnection& /*connection*/, H2Flood /*flood*/) {}
    virtual void on_client_bytes(uint64_t received, uint64_t sent) = 0;

   protected:
    ~Owner() = default;
  };

  virtual void start(std::unique_ptr<io::Transport> transport) = 0;
  // Takes over a transport that is connected.
  virtual void adopt(std::unique_ptr<io::Transport> transport) = 0;
  // Ties the connection, which has room, to one exchange.  Returns what the stream uses.
  virtual UpstreamStream& begin(ResponseSink& sink) = 0;
  // Idempotent; the sinks, if any, are told `failure`.
  virtual void close(Failure failure) = 0;
  [[nodiscard]] virtual uint64_t bytes_sent() const noexcept = 0;

  [[nodiscard]] Protocol protocol() const noexcept { return protocol_; }
  [[nodiscard]] uint64_t id() const noexcept { return id_; }
  // That have begun here.
  [[nodiscard]] uint32_t exchanges() const noexcept { return exchanges_; }
  // How many may begin at all; HTTP/2 has no more stream ids (RFC 9113, 5.1.1).
  [[nodiscard]] uint32_t max_exchanges() const noexcept { return max_exchanges_; }
  // How many may run at a time.
  [[nodiscard]] uint32_t max_streams() const noexcept { return max_streams_; }
  // Of HTTP/2: so much that nobody takes waits in it that further exchanges belong on another
  // connection.  on_client_room tells of the end of that.
  [[nodiscard]] bool is_clogged() const noexcept { return clogged_; }
  // May it be used again, as far as the last response says?
  [[nodiscard]] bool keeps_alive() const noexcept { return keep_alive_; }
  // Did the peer end it?  For counters, once it is closed.
  [[nodiscard]] bool ended_by_peer() const noexcept { return ended_by_peer_; }
  [[nodiscard]] io::Transport& transport() noexcept { return *transport_; }

  // Written by the pool.
  Instant idle_since{};  // when it last became idle
  Instant connected_at{};
  void* pool_slot = nullptr;  // the pool's own record of this connection

 protected:
  explicit ClientConnection(Protocol protocol) noexcept;
  // A transport speaks of its peer; here the peer is an upstream.
  static Failure upstream_view(Failure failure) noexcept;

  std::unique_ptr<io::Transport> transport_;
  const uint64_t id_;
  uint32_t exchanges_ = 0;
  uint32_t max_streams_ = 1;
  uint32_t max_exchanges_ = UINT32_MAX;
  const Protocol protocol_;
  bool keep_alive_ : 1 = true;
  bool ended_by_peer_ : 1 = false;
  bool closed_ : 1 = false;
  bool clogged_ : 1 = false;
};

}  // namespace pillion::http
