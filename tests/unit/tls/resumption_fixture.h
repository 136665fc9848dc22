#pragma once
// Visits of a client to a server, one after the other: which of them resume the session before.

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "proxy/tls/secret.h"
#include "proxy/tls/session_store.h"
#include "proxy/tls/ticket_keyring.h"
#include "tests/support/odd_certificate.h"
#include "tests/unit/tls/transport_fixture.h"

namespace pillion::tls {

using pillion::testing::now_seconds;

using ContextPtr = std::shared_ptr<const Context>;

// Keys that many servers have.
inline std::shared_ptr<const TicketKeyring> given_keys(const std::string& letters) {
  TicketKeys out;
  for (const char c : letters) out.keys.emplace_back().fill(static_cast<uint8_t>(c));
  return TicketKeyring::given(out);
}
inline std::shared_ptr<const TicketKeyring> own_keys() {
  return TicketKeyring::own(std::chrono::hours(2));
}

inline ContextConfig server_with(std::shared_ptr<const TicketKeyring> keys) {
  ContextConfig config = server_config();
  config.ticket_keyring = std::move(keys);
  return config;
}

class ResumptionTest : public TransportTest {
 protected:
  enum class Visit : uint8_t { kFailed, kFull, kResumed };

  static ContextConfig in(Version version, ContextConfig config) {
    config.min_version = config.max_version = version;
    return config;
  }
  // A connection that carries a request and a response, with which the ticket comes.
  Visit visit(const ContextPtr& client_context, const ContextPtr& server_context,
              TlsTransport::Options options = {}) {
    const uint64_t at_server = listener_stats.session_reused.value();
    const uint64_t at_client = cluster_stats.session_reused.value();
    options.cluster_stats = &cluster_stats;
    pair = std::make_unique<TlsPair>(loop, client_context, server_context, options,
                                     TlsTransport::Options{.listener_stats = &listener_stats});
    if (!pair->shake_hands(loop)) return Visit::kFailed;
    client().send("ping");
    const auto over = [this] { return client().is_over() || server().is_over(); };
    if (!run_until(loop, [&] { return over() || server().received == "ping"; }) || over())
      return Visit::kFailed;
    server().send("pong");
    if (!run_until(loop, [&] { return over() || client().received == "pong"; }) || over())
      return Visit::kFailed;
    const uint64_t resumed = listener_stats.session_reused.value() - at_server;
    EXPECT_EQ(cluster_stats.session_reused.value() - at_client, resumed) << "both know";
    return resumed == 1 ? Visit::kResumed : Visit::kFull;
  }
  Visit visit(const ContextConfig& client_side, const ContextPtr& server_context) {
    return visit(context(client_side), server_context);
  }
  // What the server has learned in the last visit.
  const io::PeerIdentity& caller() { return *server().transport->identity(); }

  static SessionStore::Key key_of(std::string_view sni = {}) {
    return SessionStore::key_of({}, sni, {});
  }
  static SessionPtr take(const ContextPtr& client, std::string_view sni = {}) {
    return client->sessions()->take(key_of(sni));
  }
  static void give(const ContextPtr& client, SessionPtr session, std::string_view sni = {}) {
    client->sessions()->put(key_of(sni), std::move(session));
  }
  // Certificates have seconds.
  void wait_until(int64_t seconds) {
    while (now_seconds() < seconds) pillion::testing::run_for(loop, std::chrono::milliseconds(20));
  }
};

// In both versions: what differs is who keeps what, and how long.
class ResumptionOf : public ResumptionTest, public ::testing::WithParamInterface<Version> {
 protected:
  static ContextPtr server_of(ContextConfig config) {
    return context(in(GetParam(), std::move(config)));
  }
  static ContextPtr client_of(ContextConfig config = client_config()) {
    return context(in(GetParam(), std::move(config)));
  }
};

inline std::string version_name(const ::testing::TestParamInfo<Version>& info) {
  return info.param == Version::kTls12 ? "Tls12" : "Tls13";
}

}  // namespace pillion::tls
