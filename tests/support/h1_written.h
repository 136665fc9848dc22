#pragma once
// A head that some codec made, written as HTTP/1: is what a peer reads of it that one head?

#include <string>

#include "proxy/http/h1_parser.h"
#include "proxy/http/h1_writer.h"
#include "tests/support/h1_parse.h"

namespace pillion::testing {

inline http::H1Limits generous_limits() {
  http::H1Limits limits;
  limits.max_bytes = limits.max_line = 1 << 20;
  limits.max_fields = 1000;
  return limits;
}

inline bool reads_back(const http::RequestHead& head) {
  http::OutgoingFraming framing;
  framing.framing = head.framing;
  framing.content_length = head.content_length;
  framing.upgrade = !head.upgrade.empty();
  std::string out(http::request_head_size(head, framing), '?');
  if (http::write_request_head(out.data(), head, framing) != out.data() + out.size()) return false;
  Arena arena;
  http::RequestHead again(arena);
  http::H1RequestParser parser;
  parser.begin();
  const auto status = parser.parse(out.data(), out.size(), generous_limits(), again);
  return status == http::ParseStatus::kDone && parser.head_bytes() == out.size() &&
         again.method_text == head.method_text && again.path == head.path &&
         again.authority == head.authority && again.framing == head.framing &&
         again.content_length == head.content_length && again.upgrade == head.upgrade &&
         describe(again.headers) == describe(head.headers);
}

// As the answer to a request of that method; not of a 101.
inline bool reads_back(const http::ResponseHead& head, http::Method method) {
  const bool is_empty = head.framing == http::Framing::kLength && head.content_length == 0;
  const bool bodiless = is_empty || head.framing == http::Framing::kNone;
  http::OutgoingFraming framing;
  framing.framing = head.framing;
  framing.content_length = head.content_length;
  framing.write_length = bodiless && head.status >= 200 && head.status != 204 &&
                         (head.has_content_length || method != http::Method::kHead);
  std::string out(http::response_head_size(head, framing), '?');
  if (http::write_response_head(out.data(), head, framing) != out.data() + out.size()) return false;
  Arena arena;
  http::ResponseHead again(arena);
  http::H1ResponseParser parser;
  parser.begin();
  const auto status = parser.parse(out.data(), out.size(), generous_limits(), method, again);
  return status == http::ParseStatus::kDone && parser.head_bytes() == out.size() &&
         again.status == head.status &&
         again.framing == (bodiless ? http::Framing::kNone : head.framing) &&
         describe(again.headers) == describe(head.headers);
}

inline bool is_trailer_section(const http::Headers& trailers) {
  std::string out(http::trailers_size(trailers), '?');
  http::write_trailers(out.data(), trailers);
  Arena arena;
  http::Headers again(arena);
  http::H1TrailerParser parser;
  parser.begin();
  const auto status = parser.parse(out.data() + 3, out.size() - 3, generous_limits(), again);
  return status == http::ParseStatus::kDone && parser.head_bytes() == out.size() - 3 &&
         describe(again) == describe(trailers);
}

}  // namespace pillion::testing
