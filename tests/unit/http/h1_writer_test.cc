#include "proxy/http/h1_writer.h"

#include <gtest/gtest.h>

#include <string>

namespace pillion::http {
namespace {

// Exact sizes: a byte too few is a wrong head, a byte too many an overrun.
std::string write(const RequestHead& h, const OutgoingFraming& f) {
  std::string out(request_head_size(h, f), '?');
  EXPECT_EQ(write_request_head(out.data(), h, f), out.data() + out.size());
  return out;
}
std::string write(const ResponseHead& h, const OutgoingFraming& f) {
  std::string out(response_head_size(h, f), '?');
  EXPECT_EQ(write_response_head(out.data(), h, f), out.data() + out.size());
  return out;
}

TEST(H1Writer, WritesRequestHeads) {
  Arena arena;
  RequestHead h(arena);
  h.method_text = "PUT";
  h.method = Method::kPut;
  h.path = "/a?b";
  h.authority = "host:1";
  h.headers.add("x-a", "1");
  h.headers.add("x-gone", "1");
  h.headers.remove("x-gone");
  EXPECT_EQ(write(h, {}), "PUT /a?b HTTP/1.1\r\nhost: host:1\r\nx-a: 1\r\n\r\n");
  OutgoingFraming f;
  f.framing = Framing::kLength;
  for (uint64_t length : {uint64_t{0}, uint64_t{9}, uint64_t{10}, uint64_t{999}, UINT64_MAX}) {
    f.content_length = length;
    EXPECT_EQ(write(h, f), "PUT /a?b HTTP/1.1\r\nhost: host:1\r\nx-a: 1\r\ncontent-length: " +
                               std::to_string(length) + "\r\n\r\n");
  }
  f.framing = Framing::kChunked;
  h.te_trailers = h.expects_continue = true;
  EXPECT_EQ(write(h, f),
            "PUT /a?b HTTP/1.1\r\nhost: host:1\r\nx-a: 1\r\nte: trailers\r\nconnection: te\r\n"
            "expect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n");
  // Without a body nothing is to be continued; with an upgrade Connection is taken.
  f.framing = Framing::kNone;
  f.upgrade = true;
  h.upgrade = "websocket";
  EXPECT_EQ(write(h, f),
            "PUT /a?b HTTP/1.1\r\nhost: host:1\r\nx-a: 1\r\nconnection: upgrade\r\nupgrade: "
            "websocket\r\n\r\n");
  RequestHead c(arena);
  c.method_text = "CONNECT";
  c.method = Method::kConnect;
  c.authority = "a:443";
  EXPECT_EQ(write(c, {}), "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n");
}

TEST(H1Writer, WritesResponseHeads) {
  Arena arena;
  ResponseHead h(arena);
  h.status = 404;
  OutgoingFraming f;
  f.close = true;
  EXPECT_EQ(write(h, f), "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n");
  h.reason = "Gone Fishing";
  f.close = false;
  f.keep_alive = true;
  f.write_length = true;
  f.content_length = 12;
  EXPECT_EQ(write(h, f),
            "HTTP/1.1 404 Gone Fishing\r\ncontent-length: 12\r\nconnection: keep-alive\r\n\r\n");
  for (int status = 100; status < 600; ++status) {
    h.status = static_cast<uint16_t>(status);
    h.reason = {};
    EXPECT_EQ(write(h, {}).substr(9, 3), std::to_string(status));
    EXPECT_FALSE(reason_phrase(h.status).empty());
  }
}

TEST(H1Writer, WritesChunksAndTrailers) {
  char room[kMaxChunkHeader];
  for (uint64_t size : {uint64_t{1}, uint64_t{15}, uint64_t{16}, uint64_t{0xabcdef}, UINT64_MAX}) {
    const std::string text(room, write_chunk_header(room, size));
    EXPECT_EQ(std::stoull(text, nullptr, 16), size);
    EXPECT_EQ(text.substr(text.size() - 2), "\r\n");
  }
  Arena arena;
  Headers t(arena);
  t.add("x-a", "1");
  std::string out(trailers_size(t), '?');
  EXPECT_EQ(write_trailers(out.data(), t), out.data() + out.size());
  EXPECT_EQ(out, "0\r\nx-a: 1\r\n\r\n");
}

}  // namespace
}  // namespace pillion::http
