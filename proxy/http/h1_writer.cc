#include "proxy/http/h1_writer.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace pillion::http {
namespace {

constexpr std::string_view kVersionLine = " HTTP/1.1\r\n";
constexpr std::string_view kHostField = "host: ";
constexpr std::string_view kLengthField = "content-length: ";
constexpr std::string_view kChunkedField = "transfer-encoding: chunked\r\n";
constexpr std::string_view kCloseField = "connection: close\r\n";
constexpr std::string_view kKeepAliveField = "connection: keep-alive\r\n";
constexpr std::string_view kUpgradeField = "connection: upgrade\r\nupgrade: ";
constexpr std::string_view kTeField = "te: trailers\r\nconnection: te\r\n";
constexpr std::string_view kExpectField = "expect: 100-continue\r\n";
constexpr std::string_view kCrlf = "\r\n";

inline char* put(char* out, std::string_view text) noexcept {
  if (!text.empty()) std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

size_t digits_of(uint64_t n) noexcept {
  size_t digits = 1;
  while (n >= 10) {
    n /= 10;
    ++digits;
  }
  return digits;
}

size_t fields_size(const Headers& headers) noexcept {
  size_t n = 0;
  headers.for_each([&n](const Field& f) { n += f.name.size() + f.value.size() + 4; });
  return n;
}

char* put_fields(char* out, const Headers& headers) noexcept {
  headers.for_each([&out](const Field& f) {
    out = put(out, f.name);
    *out++ = ':';
    *out++ = ' ';
    out = put(out, f.value);
    *out++ = '\r';
    *out++ = '\n';
  });
  return out;
}

size_t framing_size(const OutgoingFraming& f, std::string_view upgrade) noexcept {
  size_t n = kCrlf.size();
  if (f.framing == Framing::kChunked) {
    n += kChunkedField.size();
  } else if (f.framing == Framing::kLength || f.write_length) {
    n += kLengthField.size() + digits_of(f.content_length) + 2;
  }
  if (f.upgrade) {
    n += kUpgradeField.size() + upgrade.size() + 2;
  } else if (f.close) {
    n += kCloseField.size();
  } else if (f.keep_alive) {
    n += kKeepAliveField.size();
  }
  return n;
}

char* put_framing(char* out, const OutgoingFraming& f, std::string_view upgrade) noexcept {
  if (f.framing == Framing::kChunked) {
    out = put(out, kChunkedField);
  } else if (f.framing == Framing::kLength || f.write_length) {
    out = put(out, kLengthField);
    out = std::to_chars(out, out + 20, f.content_length).ptr;
    out = put(out, kCrlf);
  }
  if (f.upgrade) {
    out = put(put(put(out, kUpgradeField), upgrade), kCrlf);
  } else if (f.close) {
    out = put(out, kCloseField);
  } else if (f.keep_alive) {
    out = put(out, kKeepAliveField);
  }
  return put(out, kCrlf);
}

// TE speaks of one hop, so it is said anew; Connection has one field only.
bool says_te(const RequestHead& h, const OutgoingFraming& f) noexcept {
  return h.te_trailers && !f.upgrade && !f.close && !f.keep_alive;
}

// Without a body there is nothing to wait for.
bool says_expect(const RequestHead& h, const OutgoingFraming& f) noexcept {
  return h.expects_continue && (f.framing == Framing::kChunked ||
                                (f.framing == Framing::kLength && f.content_length != 0));
}

// RFC 9110, 15, and the registry; sorted.
struct Phrase {
  uint16_t status;
  std::string_view text;
};
constexpr Phrase kPhrases[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Payload Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Entity"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {511, "Network Authentication Required"},
};

}  // namespace

size_t request_head_size(const RequestHead& h, const OutgoingFraming& f) noexcept {
  const std::string_view target = h.method == Method::kConnect ? h.authority : h.path;
  return h.method_text.size() + 1 + target.size() + kVersionLine.size() + kHostField.size() +
         h.authority.size() + 2 + fields_size(h.headers) + (says_te(h, f) ? kTeField.size() : 0) +
         (says_expect(h, f) ? kExpectField.size() : 0) + framing_size(f, h.upgrade);
}

char* write_request_head(char* out, const RequestHead& h, const OutgoingFraming& f) noexcept {
  out = put(out, h.method_text);
  *out++ = ' ';
  out = put(out, h.method == Method::kConnect ? h.authority : h.path);
  out = put(out, kVersionLine);
  out = put(put(put(out, kHostField), h.authority), kCrlf);
  out = put_fields(out, h.headers);
  if (says_te(h, f)) out = put(out, kTeField);
  if (says_expect(h, f)) out = put(out, kExpectField);
  return put_framing(out, f, h.upgrade);
}

size_t response_head_size(const ResponseHead& h, const OutgoingFraming& f) noexcept {
  const std::string_view reason = h.reason.empty() ? reason_phrase(h.status) : h.reason;
  return 9 + 3 + 1 + reason.size() + 2 + fields_size(h.headers) + framing_size(f, h.upgrade);
}

char* write_response_head(char* out, const ResponseHead& h, const OutgoingFraming& f) noexcept {
  out = put(out, "HTTP/1.1 ");
  *out++ = static_cast<char>('0' + h.status / 100);
  *out++ = static_cast<char>('0' + h.status / 10 % 10);
  *out++ = static_cast<char>('0' + h.status % 10);
  *out++ = ' ';
  out = put(out, h.reason.empty() ? reason_phrase(h.status) : h.reason);
  out = put(out, kCrlf);
  out = put_fields(out, h.headers);
  return put_framing(out, f, h.upgrade);
}

char* write_chunk_header(char* out, uint64_t size) noexcept {
  return put(std::to_chars(out, out + 16, size, 16).ptr, kCrlf);
}

size_t trailers_size(const Headers& trailers) noexcept { return 3 + fields_size(trailers) + 2; }

char* write_trailers(char* out, const Headers& trailers) noexcept {
  return put(put_fields(put(out, "0\r\n"), trailers), kCrlf);
}

std::string_view reason_phrase(uint16_t status) noexcept {
  const auto* const it = std::ranges::lower_bound(kPhrases, status, {}, &Phrase::status);
  return it != std::end(kPhrases) && it->status == status ? it->text : "Unknown";
}

}  // namespace pillion::http
