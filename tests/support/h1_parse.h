#pragma once
// Feeds the HTTP/1 parsers in pieces of any size, as a connection does, and tells what they
// understood as text, so that two ways of cutting the same bytes can be compared with ==.
// Each piece lies in memory of exactly its size that is gone afterwards: ASan sees stray views.

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/str.h"
#include "proxy/http/h1_body.h"
#include "proxy/http/h1_parser.h"
#include "proxy/http/head_stash.h"

namespace pillion::testing {

struct Parsed {
  http::ParseStatus status = http::ParseStatus::kNeedMore;
  FailureKind failure = FailureKind::kNone;
  size_t head_bytes = 0;
  std::string text;  // empty unless kDone
  bool operator==(const Parsed&) const = default;
};

inline std::string describe(const http::Headers& headers) {
  std::string out;
  headers.for_each([&out](const http::Field& f) { out += str(f.name, ": ", f.value, "\n"); });
  return out;
}

inline std::string describe_framing(http::Framing framing, uint64_t length) {
  switch (framing) {
    case http::Framing::kNone:
      return "no body";
    case http::Framing::kLength:
      return str("length ", length);
    case http::Framing::kChunked:
      return "chunked";
    case http::Framing::kUntilClose:
      return "until close";
  }
  return "?";
}

inline std::string describe(const http::RequestHead& h) {
  return str(h.method_text, " ", h.path, " ", http::protocol_name(h.protocol), " at ", h.authority,
             ", ", describe_framing(h.framing, h.content_length),
             h.keep_alive ? ", keep-alive" : ", close", h.upgrade.empty() ? "" : ", upgrade ",
             h.upgrade, h.expects_continue ? ", expects 100" : "", h.te_trailers ? ", te" : "",
             "\n", describe(h.headers));
}

inline std::string describe(const http::ResponseHead& h) {
  return str(h.status, " ", h.reason, " ", http::protocol_name(h.protocol), ", ",
             describe_framing(h.framing, h.content_length),
             h.has_content_length ? str(", says ", h.content_length) : std::string(),
             h.keep_alive ? ", keep-alive" : ", close", h.upgrade.empty() ? "" : ", upgrade ",
             h.upgrade, "\n", describe(h.headers));
}

// `parse(char*, size_t)` sees the head from its first byte; `next(left)` is the size of a piece.
template <typename Head, typename Parser, typename Parse, typename Next>
Parsed feed_parser(std::string_view bytes, Head& head, Arena& arena, const Parser& parser,
                   Parse&& parse, Next&& next) {
  Parsed out;
  http::HeadStash stash;
  while (!bytes.empty()) {
    const size_t n = std::clamp<size_t>(next(bytes.size()), 1, bytes.size());
    const std::unique_ptr<char[]> piece(new char[n]);
    std::memcpy(piece.get(), bytes.data(), n);
    bytes.remove_prefix(n);
    const size_t before = stash.size();
    if (before != 0) stash.append(piece.get(), n, head);
    char* const data = before != 0 ? stash.data() : piece.get();
    out.status = parse(data, before + n);
    if (out.status == http::ParseStatus::kNeedMore) {
      if (before == 0) stash.append(piece.get(), n, head);
      continue;
    }
    if (out.status == http::ParseStatus::kFailed) {
      out.failure = parser.failure();
      return out;
    }
    out.head_bytes = parser.head_bytes();
    const std::string_view kept = arena.copy({data, out.head_bytes});
    rebase_head(head, data, out.head_bytes, kept.data());
    stash.clear();
    break;
  }
  if (out.status == http::ParseStatus::kDone) out.text = describe(head);
  return out;
}

template <typename Next>
Parsed parse_request(std::string_view bytes, const http::H1Limits& limits, Next&& next) {
  Arena arena;
  http::RequestHead head(arena);
  http::H1RequestParser parser;
  parser.begin();
  return feed_parser(
      bytes, head, arena, parser,
      [&](char* p, size_t n) { return parser.parse(p, n, limits, head); }, next);
}

template <typename Next>
Parsed parse_response(std::string_view bytes, const http::H1Limits& limits, http::Method method,
                      Next&& next) {
  Arena arena;
  http::ResponseHead head(arena);
  http::H1ResponseParser parser;
  parser.begin();
  return feed_parser(
      bytes, head, arena, parser,
      [&](char* p, size_t n) { return parser.parse(p, n, limits, method, head); }, next);
}

template <typename Next>
Parsed parse_trailers(std::string_view bytes, const http::H1Limits& limits, Next&& next) {
  Arena arena;
  http::Headers trailers(arena);
  http::H1TrailerParser parser;
  parser.begin();
  return feed_parser(
      bytes, trailers, arena, parser,
      [&](char* p, size_t n) { return parser.parse(p, n, limits, trailers); }, next);
}

struct ReadBody {
  std::string data;
  size_t consumed = 0;
  size_t views = 0;  // pieces handed out
  bool done = false;
  FailureKind failure = FailureKind::kNone;
};

template <typename Next>
ReadBody read_body(std::string_view bytes, http::Framing framing, uint64_t length, Next&& next) {
  ReadBody out;
  http::H1BodyReader reader;
  reader.begin(framing, length);
  while (!bytes.empty() && !out.done && out.failure == FailureKind::kNone) {
    const size_t n = std::clamp<size_t>(static_cast<size_t>(next(bytes.size())), 1, bytes.size());
    std::string piece(bytes.substr(0, n));
    size_t used = 0;
    while (used < n && !out.done && out.failure == FailureKind::kNone) {
      const http::H1BodyReader::Result r = reader.feed(piece.data() + used, n - used);
      out.data += r.data;
      out.views += r.data.empty() ? 0 : 1;
      out.done = r.done;
      out.failure = r.failure;
      used += r.consumed;
    }
    out.consumed += used;
    bytes.remove_prefix(n);
  }
  return out;
}

// Ways to cut: all at once, or byte by byte.
inline size_t whole(size_t left) { return left; }
inline size_t one_byte(size_t) { return 1; }

}  // namespace pillion::testing
