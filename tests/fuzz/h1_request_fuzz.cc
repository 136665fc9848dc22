// Any bytes as a request head: cut in any way they mean the same, and what we write of it is read
// back as the same head.  First byte of the input: seed of the cuts.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "proxy/http/h1_writer.h"
#include "tests/support/h1_parse.h"

using namespace pillion;

namespace {

void check_round_trip(std::string bytes) {
  Arena arena;
  http::RequestHead head(arena);
  http::H1RequestParser parser;
  parser.begin();
  if (parser.parse(bytes.data(), bytes.size(), {}, head) != http::ParseStatus::kDone) std::abort();
  http::OutgoingFraming framing;
  framing.framing = head.framing;
  framing.content_length = head.content_length;
  framing.upgrade = !head.upgrade.empty();
  // As a connection does: what was HTTP/1.0 here goes on in HTTP/1.1.
  std::string out(http::request_head_size(head, framing), '?');
  if (http::write_request_head(out.data(), head, framing) != out.data() + out.size()) std::abort();
  http::H1Limits generous;
  generous.max_bytes = generous.max_line = 1 << 20;
  generous.max_fields = 1000;
  Arena again_arena;
  http::RequestHead again(again_arena);
  http::H1RequestParser again_parser;
  again_parser.begin();
  if (again_parser.parse(out.data(), out.size(), generous, again) != http::ParseStatus::kDone)
    std::abort();
  if (again_parser.head_bytes() != out.size()) std::abort();
  if (again.method_text != head.method_text || again.path != head.path ||
      again.authority != head.authority || again.framing != head.framing ||
      again.content_length != head.content_length || again.upgrade != head.upgrade ||
      testing::describe(again.headers) != testing::describe(head.headers)) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  uint32_t seed = data[0];
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const http::H1Limits limits;
  const testing::Parsed whole = testing::parse_request(bytes, limits, testing::whole);
  if (whole != testing::parse_request(bytes, limits, testing::one_byte)) std::abort();
  const auto random = [&seed](size_t) { return (seed = seed * 1103515245 + 12345) >> 16 & 31; };
  if (whole != testing::parse_request(bytes, limits, random)) std::abort();
  if (whole.status == http::ParseStatus::kDone) check_round_trip(std::string(bytes));
  return 0;
}
