#pragma once
// HTTP/2 frames by hand, for tests that say what no library would: bytes out, words back.

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/base/str.h"

namespace pillion::testing {

inline constexpr uint8_t kEndStream = 1;
inline constexpr uint8_t kEndHeaders = 4;

inline std::string be32(uint32_t n) {
  return {static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8),
          static_cast<char>(n)};
}

inline std::string frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  const std::string size = be32(static_cast<uint32_t>(payload.size()));
  return str(size.substr(1), std::string(1, static_cast<char>(type)),
             std::string(1, static_cast<char>(flags)), be32(stream), payload);
}

// HPACK: a literal field that is not indexed and not Huffman-coded.
inline std::string literal(std::string_view name, std::string_view value) {
  const auto length = [](size_t n) {
    std::string out;
    if (n < 127) return out + static_cast<char>(n);
    out += static_cast<char>(127);
    n -= 127;
    for (; n >= 128; n /= 128) out += static_cast<char>(128 + n % 128);
    return out + static_cast<char>(n);
  };
  return str(std::string(1, '\0'), length(name.size()), name, length(value.size()), value);
}

inline std::string request_block(std::string_view method = "GET", std::string_view path = "/a") {
  return str(literal(":method", method), literal(":scheme", "http"), literal(":path", path),
             literal(":authority", "h"));
}

inline std::string headers(uint32_t stream, std::string_view block, bool end = true) {
  return frame(1, static_cast<uint8_t>(kEndHeaders | (end ? kEndStream : 0)), stream, block);
}

inline std::string data(uint32_t stream, std::string_view payload, bool end = false) {
  return frame(0, end ? kEndStream : 0, stream, payload);
}

// Takes the complete frames from `bytes`; SETTINGS and WINDOW_UPDATE of the connection are left
// out: "HEADERS 1 end; RST_STREAM 1 error 1; GOAWAY last 1 error 0; ".
inline std::string describe_frames(std::string& bytes) {
  static constexpr const char* kNames[] = {"DATA",          "HEADERS",     "PRIORITY", "RST_STREAM",
                                           "SETTINGS",      "PUSH",        "PING",     "GOAWAY",
                                           "WINDOW_UPDATE", "CONTINUATION"};
  const auto number = [](std::string_view text) {
    uint32_t n = 0;
    for (const char c : text) n = n << 8 | static_cast<uint8_t>(c);
    return n;
  };
  std::string out;
  while (bytes.size() >= 9) {
    const uint32_t size = number(std::string_view(bytes).substr(0, 3));
    if (bytes.size() < 9 + size) break;
    const auto type = static_cast<uint8_t>(bytes[3]);
    const auto flags = static_cast<uint8_t>(bytes[4]);
    const uint32_t stream = number(std::string_view(bytes).substr(5, 4));
    const std::string payload = bytes.substr(9, size);
    bytes.erase(0, 9 + size);
    if (type == 4 || (type == 8 && stream == 0) || type > 9) continue;
    out += str(kNames[type], " ", stream);
    if (type == 0) out += str(" ", size);
    if (type <= 1 && (flags & kEndStream) != 0) out += " end";
    if (type == 3) out += str(" error ", number(payload));
    if (type == 6 && (flags & 1) != 0) out += " ack";
    if (type == 7) {
      out += str(" last ", number(payload.substr(0, 4)), " error ", number(payload.substr(4, 4)));
    }
    if (type == 8) out += str(" ", number(payload));
    out += "; ";
  }
  return out;
}

}  // namespace pillion::testing
