#include "proxy/base/base64.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pillion {
namespace {

std::string encoded(std::string_view bytes) {
  std::string out(base64_size(bytes.size()), '?');
  EXPECT_EQ(write_base64(out.data(), bytes), out.data() + out.size());
  return out;
}

// In pieces of `size`; "-" if it is refused or ends in the middle.
std::string decoded(std::string_view text, size_t size) {
  Base64Reader reader;
  std::string all;
  for (size_t at = 0; at < text.size(); at += size) {
    const std::string_view piece = text.substr(at, size);
    std::vector<char> room(Base64Reader::max_size(piece.size()));
    const auto n = reader.read(piece, room.data());
    if (!n) return "-";
    EXPECT_LE(*n, room.size());
    all.append(room.data(), *n);
  }
  return reader.is_inside() ? "-" : all;
}

// RFC 4648, section 10, and bytes that are no text.
TEST(Base64, WritesAndReadsTheExamplesOfTheRfc) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
      {std::string_view("\xff\xfe\0\x80", 4), "//4AgA=="}};
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(encoded(bytes), text);
    for (const size_t size : {1u, 2u, 3u, 4u, 5u, 100u})
      EXPECT_EQ(decoded(text, size), bytes) << size;
  }
}

TEST(Base64, ReadsTextsThatFollowOneAnotherWhereverTheyAreCut) {
  const std::string_view text = "Zg==Zm8=Zm9vZg==";
  for (size_t size = 1; size <= text.size(); ++size) EXPECT_EQ(decoded(text, size), "ffofoof");
}

TEST(Base64, RefusesWhatIsNone) {
  for (const std::string_view text : {"Z", "Zg", "Zg=", "=", "Z===", "====", "Zg=a",
                                      "Zm9v=", "Zm 9v", "Zm9v\n", "Zm9-", "Zm9_", "Zm9\x80"}) {
    for (const size_t size : {1u, 100u}) EXPECT_EQ(decoded(text, size), "-") << text;
  }
}

TEST(Base64, IsTheSameBackForAllBytes) {
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes += static_cast<char>(i * 7 + i / 256);
  for (size_t size = 0; size < bytes.size(); size += 13) {
    EXPECT_EQ(decoded(encoded(bytes.substr(0, size)), 5), bytes.substr(0, size));
  }
}

// RFC 7515, appendix C, and that each text of bytes is the only one.
TEST(Base64Url, HasOneTextForEachBytes) {
  const std::string_view bytes("\x03\xec\xff\xe0\xc1", 5);
  EXPECT_EQ(encode_base64url(bytes), "A-z_4ME");
  EXPECT_EQ(decode_base64url("A-z_4ME"), bytes);
  for (const std::string_view text : {"A-z_4MF", "A-z_4ME=", "A-z_4M", "A-z_4", "A+z_4ME",
                                      "A/z_4ME", "A-z_4ME\n", " A-z_4ME", "A-z_ 4ME", "=", "A"}) {
    EXPECT_EQ(decode_base64url(text), std::nullopt) << text;
  }
  EXPECT_EQ(decode_base64url(""), "");
}

TEST(Base64Url, IsTheSameBackForAllBytes) {
  std::string all;
  for (int i = 0; i < 300; ++i) all += static_cast<char>(i * 11 + i / 256);
  for (size_t size = 0; size < all.size(); ++size) {
    EXPECT_EQ(decode_base64url(encode_base64url(all.substr(0, size))), all.substr(0, size));
  }
}

}  // namespace
}  // namespace pillion
