#pragma once
// Transport: an ordered stream of bytes to a peer: a plain socket, TLS over one, later others.
//
// Owned by its connection, which passes it to Loop::delete_later after close().  Not a descriptor:
// users read and write bytes; only SplicePump and original-destination code ask for raw_fd().
//
// Calls match: (start) (read | write | pause | resume | shutdown_write)* close, then nothing.
// Callbacks on the observer: on_connected once (not for accepted plain sockets, which are: their
// user reads at once, or calls read_again), then on_readable / on_writable any number of times,
// on_closed at most once.  No callback runs inside start(), read(), write() or close(), and none
// after close(). After kEof, on_readable comes only for a read_again or resume.

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/base/failure.h"
#include "proxy/io/address.h"
#include "proxy/io/deferred.h"
#include "proxy/io/peer_certificate.h"

namespace pillion::io {

enum class IoStatus : uint8_t {
  kOk,     // bytes moved; for read: ask again only after the next on_readable if short
  kAgain,  // nothing now
  kEof,    // read: the peer ended its direction in order
  kError,  // broken; failure() says why
};

struct IoResult {
  size_t bytes = 0;
  IoStatus status = IoStatus::kOk;
};

// Why reading is paused; reading goes on when no bit is set.
enum class PauseReason : uint8_t {
  kPeerFull = 1,
  kFilter = 2,
  kLimit = 4,
  kDraining = 8,
  kBusy = 16
};

class TransportObserver {
 public:
  // Connect (and TLS handshake) done: bytes may flow.
  virtual void on_connected() {}
  // read() may have something: bytes, end of stream or an error.
  virtual void on_readable() = 0;
  // After a short write: there is room again.
  virtual void on_writable() = 0;
  // The transport broke outside a call to read or write: connect refused, handshake failed, reset
  // while paused.  The owner closes it now.
  virtual void on_closed(Failure failure) = 0;

 protected:
  ~TransportObserver() = default;
};

// What TLS learned of the peer; owned by the transport, valid while it lives.  The texts of the
// peer's certificate are those of `certificate`, the first of each kind.
struct PeerIdentity {
  std::string_view uri_san;        // first URI SAN (SPIFFE id), empty without a certificate
  std::string_view dns_san;        // first DNS SAN
  std::string_view subject;        // RFC 2253
  std::string_view local_uri_san;  // our own
  std::string_view local_subject;
  std::string_view sha256;  // hex fingerprint of the peer's certificate
  std::string_view serial;
  std::string_view sni;
  std::string_view alpn;
  std::string_view tls_version;  // "TLSv1.3"
  std::string_view cipher;
  std::string_view group;                        // of the key exchange: "X25519"
  std::string_view session_id;                   // bytes, not text; mostly none
  const PeerCertificate* certificate = nullptr;  // null if the peer showed none
  const PeerCertificate* local = nullptr;        // our own; null if we have none
  bool presented = false;                        // the peer showed a certificate
  bool verified = false;                         // and it was verified
};

class Transport : public Deferred {
 public:
  // `observer` outlives the transport or calls close() first.  Called again on a connected
  // transport, it hands the transport over to another observer.
  virtual void start(TransportObserver& observer) = 0;
  // At most `capacity` bytes.  A short count from a plain socket means drained.
  virtual IoResult read(char* to, size_t capacity) = 0;
  // Takes as much as fits.  Fewer bytes than given (or kAgain): wait for on_writable.  A transport
  // that transforms (TLS) may take bytes it could not send yet; pending_write() counts them.
  virtual IoResult write(const iovec* pieces, int count) = 0;
  [[nodiscard]] virtual size_t pending_write() const noexcept { return 0; }
  // Ends our direction (FIN, close_notify) after what is pending.
  virtual void shutdown_write() = 0;
  // Idempotent; callbacks stop.  kReset makes the peer see RST.
  enum class CloseMode : uint8_t { kOrderly, kReset };
  virtual void close(CloseMode mode = CloseMode::kOrderly) = 0;

  virtual void pause(PauseReason reason) = 0;
  virtual void resume(PauseReason reason) = 0;
  // Makes the loop call on_readable once more in this turn's ready queue (a budget ran out, or
  // bytes were left unread on purpose).
  virtual void read_again() = 0;

  // Something happened that on_readable will tell later in this turn.  For who is about to write
  // and must not take what came before for the answer.
  [[nodiscard]] virtual bool has_news() const noexcept { return false; }

  // Makes sure that readiness is reported; a transport may put that off for short exchanges.  Call
  // when nothing more is expected soon: the connection became idle, or waits for its other side;
  // and after taking bytes by raw_fd().
  virtual void watch() {}

  // For users of raw_fd(), who make their own system calls: on_writable when there is room.
  virtual void want_writable() {}

  // The socket, when bytes on it are the bytes of this stream; else -1.
  [[nodiscard]] virtual int raw_fd() const noexcept { return -1; }
  // Null for plain transports.
  [[nodiscard]] virtual const PeerIdentity* identity() const noexcept { return nullptr; }
  // Text for %..._TRANSPORT_FAILURE_REASON%, empty when none.
  [[nodiscard]] virtual std::string_view failure_reason() const noexcept { return {}; }
  [[nodiscard]] virtual Failure failure() const noexcept = 0;
};

}  // namespace pillion::io
