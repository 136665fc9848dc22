// The packed form: the size of all; then, again and again, literal bytes (how many, and they) and a
// copy of what stands before (how many, how far back).  Numbers are varints.
#include "proxy/base/packed_bytes.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "proxy/base/assert.h"

namespace pillion {
namespace {

constexpr size_t kLeastCopy = 4;
constexpr unsigned kHashBits = 11;
// Beyond, protobuf messages do not come, and positions would not fit.
constexpr size_t kMost = UINT32_MAX;

void put_number(std::string& out, size_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

size_t take_number(std::string_view& in) {
  size_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    ASSERT(!in.empty());
    const auto byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    value |= size_t{byte & 0x7fu} << shift;
    if (byte < 0x80) break;
  }
  return value;
}

// Where each four bytes were seen last.
class Seen {
 public:
  explicit Seen(std::string_view text) noexcept : text_(text) {}
  // And notes that they are here, too; `at` if they are new.
  size_t swap(size_t at) noexcept {
    uint32_t four = 0;
    std::memcpy(&four, text_.data() + at, sizeof(four));
    uint32_t& place = places_[four * 2654435761u >> (32 - kHashBits)];
    const size_t before = place;
    place = static_cast<uint32_t>(at + 1);
    return before == 0 ? at : before - 1;
  }

 private:
  const std::string_view text_;
  std::array<uint32_t, size_t{1} << kHashBits> places_{};  // position + 1
};

size_t common(std::string_view text, size_t a, size_t b) noexcept {
  size_t length = 0;
  while (b + length < text.size() && text[a + length] == text[b + length]) ++length;
  return length;
}

std::string packed(std::string_view text, size_t begin) {
  std::string out;
  out.reserve((text.size() - begin) / 2 + 16);
  put_number(out, text.size() - begin);
  Seen seen(text);
  const size_t end = text.size() < kLeastCopy ? 0 : text.size() - kLeastCopy + 1;
  for (size_t at = 0; at < std::min(begin, end); ++at) seen.swap(at);
  size_t literals = begin;  // where those begin that are not written yet
  const auto put_literals = [&](size_t until) {
    put_number(out, until - literals);
    out += text.substr(literals, until - literals);
  };
  for (size_t at = begin; at < end;) {
    const size_t before = seen.swap(at);
    const size_t length = before == at ? 0 : common(text, before, at);
    if (length < kLeastCopy) {
      ++at;
      continue;
    }
    put_literals(at);
    put_number(out, length);
    put_number(out, at - before);
    literals = at + length;
    for (++at; at < std::min(literals, end); ++at) seen.swap(at);
    at = literals;
  }
  put_literals(text.size());
  return out;
}

}  // namespace

PackedBytes::PackedBytes(std::string_view bytes, std::string_view like) {
  if (bytes.empty()) return;
  ASSERT(bytes.size() + like.size() < kMost);
  std::string text;
  text.reserve(like.size() + bytes.size());
  text += like;
  text += bytes;
  packed_ = packed(text, like.size());
}

std::string PackedBytes::unpack(std::string_view like) const {
  if (packed_.empty()) return {};
  std::string_view in = packed_;
  const size_t size = take_number(in);
  std::string out;
  out.reserve(like.size() + size);
  out += like;
  while (true) {
    const size_t literals = take_number(in);
    ASSERT(literals <= in.size());
    out += in.substr(0, literals);
    in.remove_prefix(literals);
    if (in.empty()) break;
    const size_t length = take_number(in);
    const size_t distance = take_number(in);
    ASSERT(distance != 0 && distance <= out.size());
    // Byte by byte: a copy may run into itself.
    for (size_t i = 0; i < length; ++i) out += out[out.size() - distance];
  }
  out.erase(0, like.size());
  ASSERT(out.size() == size);
  return out;
}

}  // namespace pillion
