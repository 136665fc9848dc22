// Any bytes as a response, its chunked body or its trailers: cut in any way they mean the same, and
// a head that we write is read back as the same.  First byte: seed of the cuts and what is asked.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "proxy/http/h1_writer.h"
#include "tests/support/h1_parse.h"

using namespace pillion;

namespace {

uint32_t seed;
size_t random_piece(size_t) { return (seed = seed * 1103515245 + 12345) >> 16 & 31; }

void check_round_trip(std::string bytes, http::Method method) {
  Arena arena;
  http::ResponseHead head(arena);
  http::H1ResponseParser parser;
  parser.begin();
  if (parser.parse(bytes.data(), bytes.size(), {}, method, head) != http::ParseStatus::kDone)
    std::abort();
  http::OutgoingFraming framing;
  framing.framing = head.framing;
  framing.content_length = head.content_length;
  framing.write_length = head.framing == http::Framing::kNone && head.has_content_length;
  framing.upgrade = head.status == 101;
  std::string out(http::response_head_size(head, framing), '?');
  if (http::write_response_head(out.data(), head, framing) != out.data() + out.size()) std::abort();
  http::H1Limits generous;
  generous.max_bytes = 1 << 20;
  generous.max_fields = 1000;
  Arena again_arena;
  http::ResponseHead again(again_arena);
  http::H1ResponseParser again_parser;
  again_parser.begin();
  if (again_parser.parse(out.data(), out.size(), generous, method, again) !=
      http::ParseStatus::kDone)
    std::abort();
  if (again_parser.head_bytes() != out.size() || again.status != head.status ||
      again.framing != head.framing || again.content_length != head.content_length ||
      again.upgrade != head.upgrade ||
      testing::describe(again.headers) != testing::describe(head.headers)) {
    std::abort();
  }
}

void check_body(std::string_view bytes) {
  const testing::ReadBody whole =
      testing::read_body(bytes, http::Framing::kChunked, 0, testing::whole);
  for (const testing::ReadBody& cut :
       {testing::read_body(bytes, http::Framing::kChunked, 0, testing::one_byte),
        testing::read_body(bytes, http::Framing::kChunked, 0, random_piece)}) {
    if (cut.failure != whole.failure || cut.done != whole.done || cut.consumed != whole.consumed)
      std::abort();
    if (whole.failure == FailureKind::kNone && cut.data != whole.data) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  seed = data[0];
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const http::H1Limits limits;
  switch (data[0] % 4) {
    case 0:
      check_body(bytes);
      return 0;
    case 1: {
      const testing::Parsed whole = testing::parse_trailers(bytes, limits, testing::whole);
      if (whole != testing::parse_trailers(bytes, limits, testing::one_byte)) std::abort();
      if (whole != testing::parse_trailers(bytes, limits, random_piece)) std::abort();
      return 0;
    }
    default:
      break;
  }
  const http::Method method = data[0] % 4 == 2 ? http::Method::kGet : http::Method::kHead;
  const testing::Parsed whole = testing::parse_response(bytes, limits, method, testing::whole);
  if (whole != testing::parse_response(bytes, limits, method, testing::one_byte)) std::abort();
  if (whole != testing::parse_response(bytes, limits, method, random_piece)) std::abort();
  if (whole.status == http::ParseStatus::kDone) check_round_trip(std::string(bytes), method);
  return 0;
}
