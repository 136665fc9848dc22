// What HTTP/1 costs beside its system calls: heads in and out, chunked bodies.

#include <benchmark/benchmark.h>

#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/http/h1_body.h"
#include "proxy/http/h1_parser.h"
#include "proxy/http/h1_writer.h"

namespace pillion::http {
namespace {

// The head that wrk sends, and one of a browser.
constexpr std::string_view kSmall = "GET /b/1024 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
constexpr std::string_view kBrowser =
    "GET /api/v1/users/1234567/orders?limit=10&offset=20 HTTP/1.1\r\n"
    "Host: users.shop.svc.cluster.local:8080\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef0123456789abcdef; theme=dark; consent=1\r\n"
    "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
    "X-Request-Id: 5f1c7f3e-9a4b-4c1e-8f53-0d7a6b0c1d2e\r\n"
    "Priority: u=0, i\r\n\r\n";
constexpr std::string_view kResponse =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n"
    "Cache-Control: no-cache\r\nDate: Wed, 25 Nov 2026 22:00:00 GMT\r\nServer: origin\r\n\r\n";

// Parsing writes into its input (names become lower case), so each round has a fresh copy.
void parse_request(benchmark::State& state, std::string_view text) {
  const H1Limits limits;
  std::string copy(text);
  for (auto _ : state) {
    text.copy(copy.data(), copy.size());
    Arena arena;
    RequestHead head(arena);
    H1RequestParser parser;
    parser.begin();
    const ParseStatus status = parser.parse(copy.data(), copy.size(), limits, head);
    if (status != ParseStatus::kDone) state.SkipWithError("refused");
    benchmark::DoNotOptimize(head.path.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(text.size()) * state.iterations());
}
void ParseSmallRequest(benchmark::State& state) { parse_request(state, kSmall); }
BENCHMARK(ParseSmallRequest);
void ParseBrowserRequest(benchmark::State& state) { parse_request(state, kBrowser); }
BENCHMARK(ParseBrowserRequest);

void ParseResponse(benchmark::State& state) {
  const H1Limits limits;
  std::string copy(kResponse);
  for (auto _ : state) {
    kResponse.copy(copy.data(), copy.size());
    Arena arena;
    ResponseHead head(arena);
    H1ResponseParser parser;
    parser.begin();
    const ParseStatus status = parser.parse(copy.data(), copy.size(), limits, Method::kGet, head);
    if (status != ParseStatus::kDone) state.SkipWithError("refused");
    benchmark::DoNotOptimize(head.status);
  }
  state.SetBytesProcessed(static_cast<int64_t>(kResponse.size()) * state.iterations());
}
BENCHMARK(ParseResponse);

// A body of 64 KB in chunks of so many bytes.
void ReadChunks(benchmark::State& state) {
  const auto size = static_cast<size_t>(state.range(0));
  std::string body;
  for (size_t n = 0; n < 64 * 1024; n += size) {
    char header[kMaxChunkHeader];
    body.append(header, write_chunk_header(header, size));
    body += str(std::string(size, 'x'), kChunkEnd);
  }
  std::string copy(body);  // the reader closes the gaps between chunks in place
  for (auto _ : state) {
    body.copy(copy.data(), copy.size());
    H1BodyReader reader;
    reader.begin(Framing::kChunked, 0);
    for (size_t at = 0; at < copy.size();) {
      const H1BodyReader::Result r = reader.feed(copy.data() + at, copy.size() - at);
      if (r.failure != FailureKind::kNone) return state.SkipWithError("refused");
      at += r.consumed;
    }
  }
  state.SetBytesProcessed(static_cast<int64_t>(body.size()) * state.iterations());
}
BENCHMARK(ReadChunks)->Arg(64)->Arg(1024)->Arg(16384);

void WriteRequestHead(benchmark::State& state) {
  Arena arena;
  std::string text(kBrowser);
  RequestHead head(arena);
  H1RequestParser parser;
  parser.begin();
  parser.parse(text.data(), text.size(), {}, head);
  std::vector<char> out(4096);
  for (auto _ : state) {
    const size_t size = request_head_size(head, {});
    write_request_head(out.data(), head, {});
    benchmark::DoNotOptimize(size);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(WriteRequestHead);

void WriteResponseHead(benchmark::State& state) {
  Arena arena;
  std::string text(kResponse);
  ResponseHead head(arena);
  H1ResponseParser parser;
  parser.begin();
  parser.parse(text.data(), text.size(), {}, Method::kGet, head);
  OutgoingFraming framing;
  framing.framing = Framing::kLength;
  framing.content_length = 1024;
  std::vector<char> out(4096);
  for (auto _ : state) {
    const size_t size = response_head_size(head, framing);
    write_response_head(out.data(), head, framing);
    benchmark::DoNotOptimize(size);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(WriteResponseHead);

}  // namespace
}  // namespace pillion::http
