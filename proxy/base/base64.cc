#include "proxy/base/base64.h"

#include <array>

namespace pillion {
namespace {

constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kNone = 0xff;

constexpr char kUrlDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<uint8_t, 256> make_values(const char (&digits)[65]) {
  std::array<uint8_t, 256> values{};
  for (uint8_t& v : values) v = kNone;
  for (uint8_t i = 0; i < 64; ++i) values[static_cast<uint8_t>(digits[i])] = i;
  return values;
}
constexpr std::array<uint8_t, 256> kValues = make_values(kDigits);
constexpr std::array<uint8_t, 256> kUrlValues = make_values(kUrlDigits);

constexpr uint32_t byte_at(std::string_view bytes, size_t i) noexcept {
  return i < bytes.size() ? static_cast<uint8_t>(bytes[i]) : 0u;
}

}  // namespace

char* write_base64(char* out, std::string_view bytes) noexcept {
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const uint32_t group =
        byte_at(bytes, i) << 16 | byte_at(bytes, i + 1) << 8 | byte_at(bytes, i + 2);
    *out++ = kDigits[group >> 18];
    *out++ = kDigits[group >> 12 & 63];
    *out++ = i + 1 < bytes.size() ? kDigits[group >> 6 & 63] : '=';
    *out++ = i + 2 < bytes.size() ? kDigits[group & 63] : '=';
  }
  return out;
}

std::optional<size_t> Base64Reader::read(std::string_view text, char* out) noexcept {
  char* const begin = out;
  for (const char c : text) {
    const uint8_t value = kValues[static_cast<uint8_t>(c)];
    if (c == '=') {
      if (count_ < 2) return std::nullopt;
      ++padding_;
      group_ <<= 6;
    } else {
      if (value == kNone || padding_ != 0) return std::nullopt;
      group_ = group_ << 6 | value;
    }
    if (++count_ < 4) continue;
    *out++ = static_cast<char>(group_ >> 16);
    if (padding_ < 2) *out++ = static_cast<char>(group_ >> 8);
    if (padding_ < 1) *out++ = static_cast<char>(group_);
    group_ = 0;
    count_ = padding_ = 0;
  }
  return static_cast<size_t>(out - begin);
}

std::optional<std::string> decode_base64url(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  uint32_t bits = 0;
  unsigned count = 0;  // of the bits that wait, below 8 between two digits
  for (const char c : text) {
    const uint8_t value = kUrlValues[static_cast<uint8_t>(c)];
    if (value == kNone) return std::nullopt;
    bits = bits << 6 | value;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count);
    bits &= (1u << count) - 1;
  }
  // Six bits that wait are a digit too many; fewer belong to no byte and must be zero.
  if (count == 6 || bits != 0) return std::nullopt;
  return out;
}

std::string encode_base64(std::string_view bytes) {
  std::string out(base64_size(bytes.size()), '\0');
  write_base64(out.data(), bytes);
  return out;
}

std::string encode_base64url(std::string_view bytes) {
  std::string out = encode_base64(bytes);
  while (out.ends_with('=')) out.pop_back();
  for (char& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

}  // namespace pillion
