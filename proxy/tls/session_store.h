#pragma once
// SessionStore: the TLS sessions that a client may resume (UpstreamTlsContext.max_session_keys).
//
// Owned by a Context, used by its connections on all workers: a lock is taken for a moment when a
// handshake begins and when a server sends a ticket, never for a request.  A session is found only
// under the key that it was stored with: the server's address, the SNI and the name that was
// verified, so that what one host has proven is never taken for another.  Taking removes it: a
// ticket of TLS 1.3 must not be used twice (RFC 8446, C.4), and a session whose handshake fails is
// not tried again.  The newest is taken first.
//
// Memory: at most kMost sessions of a few KB (the ticket of kMostTicketBytes, and the server's
// chain, shared by the sessions that have the same); the oldest go.

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "proxy/io/address.h"

struct ssl_session_st;

namespace pillion::tls {

struct FreeSession {
  void operator()(ssl_session_st* session) const noexcept;
};
using SessionPtr = std::unique_ptr<ssl_session_st, FreeSession>;

class SessionStore {
 public:
  static constexpr size_t kMost = 256;
  static constexpr size_t kMostTicketBytes = 8 * 1024;
  using Key = std::array<uint8_t, 32>;  // a hash

  static Key key_of(const io::Address& server, std::string_view sni,
                    std::string_view expected_name);
  // `per_key`: how many sessions one key may have, at least 1.
  explicit SessionStore(uint32_t per_key) : per_key_(per_key) {}
  SessionStore(const SessionStore&) = delete;
  SessionStore& operator=(const SessionStore&) = delete;

  void put(const Key& key, SessionPtr session);
  // Null if there is none.
  SessionPtr take(const Key& key);
  [[nodiscard]] size_t size() const;

 private:
  struct Entry {
    Key key;
    SessionPtr session;
  };
  const uint32_t per_key_;
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;  // oldest first
};

}  // namespace pillion::tls
