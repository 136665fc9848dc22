#pragma once
// Resumption of TLS sessions, on both sides.
//
// The rule: a session resumes only where a full handshake would have ended in the same way.
//   - It was made under the same validation context (context_hash.h; RFC 8446, 4.6.1 leaves that to
//     us, and CVE-2022-21654 shows what comes of forgetting it).
//   - The peer's chain, which the session holds, is verified again, each time, as if it had just
//     been shown: an expired or revoked certificate, or one of a CA that is gone, resumes nothing.
//     That gives the identity of the peer, too; it is mostly one look into the cache of verify.h.
//   - It is for the same server name: a ticket opens only under the SNI that it was made for, and a
//     client offers a session only to the server, SNI and verified name that it has it from.
//   - session_timeout counts from the last full handshake: resuming does not prolong it.
// Whatever does not hold leads to a full handshake, which then decides; nothing fails for it.
//
// Servers keep no state: tickets only (ticket_keyring.h), one for each connection, sent along with
// its first response.  The session ids of TLS 1.2 resume nothing.  Early data (0-RTT), which can be
// replayed, is off on both sides.

#include "proxy/tls/context_config.h"

struct ssl_ctx_st;

namespace pillion::tls {

class TlsTransport;

// A server that makes tickets.
[[nodiscard]] bool issues_tickets(const ContextConfig& config) noexcept;
// A client that keeps sessions.
[[nodiscard]] bool keeps_sessions(const ContextConfig& config) noexcept;
// False if the library fails.
[[nodiscard]] bool set_up_resumption(ssl_ctx_st& ctx, const ContextConfig& config,
                                     const Sha256& session_context);

// What a TlsTransport calls.
struct Resumption {
  // A client's session for this server and name, if there is one that is still good.
  static void offer(TlsTransport& transport);
  // After a client's handshake: a session of TLS 1.2 may be used again.
  static void keep(TlsTransport& transport);
};

}  // namespace pillion::tls
