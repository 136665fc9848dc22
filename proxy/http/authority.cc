#include "proxy/http/authority.h"

#include <cstring>

#include "proxy/base/str.h"
#include "proxy/io/address.h"

namespace pillion::http {
namespace {

bool is_host_char(char c) noexcept {
  const auto u = static_cast<uint8_t>(c);
  return (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') ||
         std::string_view("-._~!$&'()*+,;=").find(c) != std::string_view::npos;
}

bool all_digits(std::string_view text) noexcept {
  for (char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return true;
}

// As nearly every client writes it.
bool is_canonical(std::string_view text) noexcept {
  if (text.empty()) return true;
  if (text.front() == '[') return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (to_lower(text[i]) != text[i]) return false;
    if (text[i] != ':') continue;
    const std::string_view port = text.substr(i + 1);
    return !port.empty() && (port.size() == 1 || port.front() != '0');
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

std::string_view canonical_authority(std::string_view text, Arena& arena) {
  if (is_canonical(text)) return text;
  const size_t bracket = text.find(']');
  const size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  const std::string_view host = text.substr(0, colon);
  std::string_view port = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  while (port.size() > 1 && port.front() == '0') port.remove_prefix(1);
  char* const out = arena.allocate_array<char>(text.size() + io::Address::kMaxText);
  char* at = out;
  for (const char c : host) *at++ = to_lower(c);
  if (bracket != std::string_view::npos) {
    if (const auto address = io::Address::parse_ip(host.substr(1, bracket - 1), 0)) {
      at = out + 1 + address->format(out + 1, false);
      *at++ = ']';
    }
  }
  if (!port.empty()) {
    *at++ = ':';
    std::memcpy(at, port.data(), port.size());
    at += port.size();
  }
  return {out, static_cast<size_t>(at - out)};
}

}  // namespace pillion::http
