#include "proxy/core/unmatched.h"

#include <algorithm>

#include "proxy/base/log.h"
#include "proxy/base/str.h"

namespace pillion::core {
namespace {

// Enough for a method; not for what may be secret behind it.
constexpr size_t kShownBytes = 8;

bool all_take_only(const ListenerConfig& listener, std::string_view protocol) {
  return std::ranges::all_of(listener.chains, [protocol](const auto& chain) {
    return chain->match.transport_protocol == protocol;
  });
}

bool any_wants_server_name(const ListenerConfig& listener) {
  return std::ranges::any_of(listener.chains,
                             [](const auto& chain) { return !chain->match.server_names.empty(); });
}

std::string describe(const Sniffed& sniffed, bool was_sniffed) {
  if (sniffed.is_tls) {
    std::string text = str("TLS, server name ",
                           sniffed.server_name.empty() ? "none" : sniffed.server_name, ", ALPN");
    for (std::string_view name : sniffed.alpn) text += str(" ", name);
    return sniffed.alpn.empty() ? text + " none" : text;
  }
  if (!sniffed.first_bytes.empty())
    return str("plain text: ", sniffed.first_bytes.substr(0, kShownBytes));
  return was_sniffed ? "nothing was sent in time" : "not looked at";
}

std::string_view likely_cause(const ListenerConfig& listener, const Sniffed& sniffed) {
  const bool is_plain = !sniffed.is_tls && !sniffed.first_bytes.empty();
  if (is_plain && all_take_only(listener, "tls"))
    return "a client without TLS calls a port that takes TLS only";
  if (sniffed.is_tls && all_take_only(listener, "raw_buffer"))
    return "a client with TLS calls a port that takes plain text only";
  if (sniffed.is_tls && any_wants_server_name(listener)) {
    return sniffed.server_name.empty() ? "the client names no server (SNI)"
                                       : "no chain is for this server name, ALPN or address";
  }
  return "no chain is for this protocol, destination or source";
}

}  // namespace

Unmatched describe_unmatched(const ListenerConfig& listener, uint16_t port,
                             const Sniffed& sniffed) {
  return {describe(sniffed, needs_sniffing(listener, port)), likely_cause(listener, sniffed)};
}

void log_unmatched(const ListenerConfig& listener, const ConnectionInfo& connection,
                   const Sniffed& sniffed) {
  if (!log::enabled(log::kConnHandler, log::Level::kWarning)) return;
  const Unmatched text = describe_unmatched(listener, connection.local.port(), sniffed);
  static log::Limit limit{std::chrono::seconds(1)};
  log::warning(limit, log::kConnHandler, "connection closed: no filter chain matches",
               {{"listener", listener.name},
                {"peer", connection.direct_remote()},
                {"destination", connection.local},
                {"seen", text.seen},
                {"likely_cause", text.likely_cause}});
}

}  // namespace pillion::core
