#include "proxy/http/authority.h"

#include "proxy/base/str.h"

namespace pillion::http {
namespace {

bool is_host_char(char c) noexcept {
  const auto u = static_cast<uint8_t>(c);
  return (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') ||
         std::string_view("-._~!$&'()*+,;=%").find(c) != std::string_view::npos;
}

bool all_digits(std::string_view text) noexcept {
  for (char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return true;
}

}  // namespace

bool is_valid_authority(std::string_view text) noexcept {
  if (text.empty() || text.size() > 512) return false;
  std::string_view host = text;
  std::string_view port;
  if (text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos || close < 3) return false;
    host = text.substr(1, close - 1);
    for (char c : host) {
      const char l = to_lower(c);
      if (!((l >= '0' && l <= '9') || (l >= 'a' && l <= 'f') || l == ':' || l == '.')) return false;
    }
    port = text.substr(close + 1);
  } else {
    const size_t colon = text.find(':');
    host = text.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view{} : text.substr(colon);
    if (host.empty()) return false;
    for (char c : host) {
      if (!is_host_char(c)) return false;
    }
  }
  if (port.empty()) return true;
  if (port.front() != ':' || port.size() > 6 || !all_digits(port.substr(1))) return false;
  return port.size() < 6 || port.substr(1) <= "65535";
}

}  // namespace pillion::http
