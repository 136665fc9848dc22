#pragma once
// The key of a WebSocket handshake and its answer (RFC 6455, 4.1 and 4.2.2), for who translates a
// handshake between protocols of which only one has them.

#include <cstddef>
#include <string_view>

namespace pillion::tls {

inline constexpr size_t kWebSocketKeyBytes = 24;
inline constexpr size_t kWebSocketAcceptBytes = 28;

// A random value of Sec-WebSocket-Key into out[0, kWebSocketKeyBytes).
void write_websocket_key(char* out) noexcept;
// The value of Sec-WebSocket-Accept for `key` into out[0, kWebSocketAcceptBytes).
void write_websocket_accept(std::string_view key, char* out) noexcept;

}  // namespace pillion::tls
