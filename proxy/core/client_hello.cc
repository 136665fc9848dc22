#include "proxy/core/client_hello.h"

#include <algorithm>
#include <cstdint>

#include "proxy/base/field_chars.h"

namespace pillion::core {
namespace {

// Reads big-endian numbers and length-prefixed pieces; a short read makes it bad for good.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  uint32_t number(size_t bytes) {
    if (rest_.size() < bytes) {
      bad_ = true;
      rest_ = {};
      return 0;
    }
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value = value << 8 | static_cast<uint8_t>(rest_[i]);
    rest_.remove_prefix(bytes);
    return value;
  }
  std::string_view piece(size_t length) {
    if (rest_.size() < length) {
      bad_ = true;
      length = rest_.size();
    }
    const std::string_view out = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return out;
  }
  std::string_view prefixed(size_t length_bytes) { return piece(number(length_bytes)); }
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] bool bad() const { return bad_; }

 private:
  std::string_view rest_;
  bool bad_ = false;
};

constexpr uint32_t kServerName = 0;
constexpr uint32_t kAlpn = 16;

void read_extension(uint32_t type, std::string_view body, ClientHello& hello) {
  Reader reader(body);
  Reader list(reader.prefixed(2));
  if (type == kServerName) {
    if (list.number(1) == 0) hello.server_name = list.prefixed(2);
  } else if (type == kAlpn) {
    while (!list.empty() && !list.bad()) hello.alpn.push_back(list.prefixed(1));
  }
}

bool read_hello(std::string_view body, ClientHello& hello) {
  Reader reader(body);
  reader.number(2);                          // legacy_version
  reader.piece(32);                          // random
  reader.prefixed(1);                        // session id
  reader.prefixed(2);                        // cipher suites
  reader.prefixed(1);                        // compression methods
  if (reader.empty()) return !reader.bad();  // TLS 1.2 may have no extensions
  Reader extensions(reader.prefixed(2));
  while (!extensions.empty() && !extensions.bad()) {
    const uint32_t type = extensions.number(2);
    const std::string_view extension = extensions.prefixed(2);
    if (type == kServerName || type == kAlpn) read_extension(type, extension, hello);
  }
  return !reader.bad() && !extensions.bad();
}

}  // namespace

Sniff sniff_tls(std::string_view bytes, std::vector<char>& scratch, ClientHello& hello) {
  scratch.clear();
  std::string_view rest = bytes;
  // handshake(22), version 3.x; refused by the first byte that differs.
  while (true) {
    if (!rest.empty() && rest[0] != 22) return Sniff::kOther;
    if (rest.size() > 1 && rest[1] != 3) return Sniff::kOther;
    if (rest.size() < 5) return Sniff::kNeedMore;
    const size_t length =
        static_cast<size_t>(static_cast<uint8_t>(rest[3])) << 8 | static_cast<uint8_t>(rest[4]);
    if (length == 0 || length > 16384 + 256) return Sniff::kOther;
    const std::string_view fragment = rest.substr(5, length);
    scratch.insert(scratch.end(), fragment.begin(), fragment.end());
    if (!scratch.empty() && scratch[0] != 1) return Sniff::kOther;  // client_hello
    if (scratch.size() >= 4) {
      const std::string_view message(scratch.data(), scratch.size());
      Reader header(message);
      header.number(1);
      const uint32_t size = header.number(3);
      if (size > kMaxClientHello) return Sniff::kOther;
      if (message.size() >= 4 + size) {
        return read_hello(message.substr(4, size), hello) ? Sniff::kTls : Sniff::kOther;
      }
    }
    if (fragment.size() < length)
      return bytes.size() > kMaxClientHello * 2 ? Sniff::kOther : Sniff::kNeedMore;
    rest.remove_prefix(5 + length);
  }
}

Sniff sniff_http(std::string_view bytes) {
  constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const size_t n = std::min(bytes.size(), kPreface.size());
  if (bytes.substr(0, n) == kPreface.substr(0, n))
    return n == kPreface.size() ? Sniff::kHttp2 : Sniff::kNeedMore;
  const size_t space = bytes.find(' ');
  const std::string_view method = bytes.substr(0, space);
  if (!is_token(method) || method.size() > 32) return Sniff::kOther;
  if (space == std::string_view::npos) return Sniff::kNeedMore;
  const size_t line_end = bytes.find('\n', space);
  if (line_end == std::string_view::npos)
    return bytes.size() > 8192 ? Sniff::kHttp1 : Sniff::kNeedMore;
  return bytes.substr(space, line_end - space).find(" HTTP/1.") != std::string_view::npos
             ? Sniff::kHttp1
             : Sniff::kOther;
}

}  // namespace pillion::core
