#include "proxy/http/h1_writer.h"

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
  return h.expects_continue &&
         (f.framing == Framing::kChunked || (f.framing == Framing::kLength && f.content_length != 0));
}

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
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Payload Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Entity";
    case 424: return "Failed Dependency";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 511: return "Network Authentication Required";
    default: return "Unknown";
  }
}

}  // namespace pillion::http
