// The same message by HTTP/1 and by HTTP/2: accepted or refused alike, and as the same message; and
// what HTTP/2 brought, written as HTTP/1, is read again as that one message and nothing else.
//
// The input is a message in parts, not bytes of a protocol: see Parts.  Where HTTP/1 cannot say a
// part without saying something else (a line break in a value), HTTP/2 must have refused it.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <source_location>

#include "proxy/http/field_rules.h"
#include "tests/support/codec_records.h"

using namespace pillion;
using testing::data;
using testing::frame;
using testing::headers;
using testing::literal;

namespace {

using FieldList = std::vector<std::pair<std::string, std::string>>;

void check(bool fine, std::source_location place = std::source_location::current()) {
  if (fine) return;
  std::fprintf(stderr, "line %u\n", static_cast<unsigned>(place.line()));
  std::abort();
}

// Cuts an input into parts: texts end at a byte 0x1e, lists at 0x1d.
class Parts {
 public:
  explicit Parts(std::string_view bytes) : bytes_(bytes) {}
  uint8_t byte() {
    if (bytes_.empty()) return 0;
    const auto b = static_cast<uint8_t>(bytes_[0]);
    bytes_.remove_prefix(1);
    return b;
  }
  std::string text() {
    const size_t end = std::min(bytes_.find_first_of("\x1e\x1d"), bytes_.size());
    std::string out(bytes_.substr(0, end));
    bytes_.remove_prefix(end);
    if (!bytes_.empty() && bytes_[0] == '\x1e') bytes_.remove_prefix(1);
    return out;
  }
  bool ends_list() {
    if (bytes_.empty()) return true;
    if (bytes_[0] != '\x1d') return false;
    bytes_.remove_prefix(1);
    return true;
  }
  FieldList fields() {
    FieldList out;
    while (!ends_list() && out.size() < 40) {
      std::string name = text();
      out.emplace_back(std::move(name), text());
    }
    return out;
  }
  std::vector<std::string> texts() {
    std::vector<std::string> out;
    while (!ends_list() && out.size() < 20) out.push_back(text());
    return out;
  }

 private:
  std::string_view bytes_;
};

struct Message {
  enum Flag : uint8_t {
    kNoScheme = 1,
    kNoPath = 2,
    kNoAuthority = 4,
    kOpen = 8,  // the head does not end the message, though no body follows
    kTrailers = 16,
    kResponse = 32,
    kHead = 64,  // a response to HEAD
  };
  explicit Message(Parts& parts) : flags(parts.byte()) {
    method = parts.text();  // or the status
    if (!has(kResponse)) path = parts.text(), scheme = parts.text(), authority = parts.text();
    fields = parts.fields();
    pieces = parts.texts();
    // DATA frames without data are a flood.
    if (std::erase(pieces, "") != 0 && pieces.empty()) pieces.emplace_back();
    if (has(kTrailers)) trailers = parts.fields();
  }
  [[nodiscard]] bool has(Flag flag) const { return (flags & flag) != 0; }
  [[nodiscard]] std::string body() const {
    std::string out;
    for (const std::string& piece : pieces) out += piece;
    return out;
  }
  [[nodiscard]] std::optional<std::string> find(std::string_view name) const {
    for (const auto& [key, value] : fields) {
      if (key == name) return value;
    }
    return std::nullopt;
  }
  [[nodiscard]] bool ends_at_head() const {
    return pieces.empty() && !has(kTrailers) && !has(kOpen);
  }

  uint8_t flags;
  std::string method, path, scheme, authority;
  FieldList fields;
  std::vector<std::string> pieces;
  FieldList trailers;
};

// ---- HTTP/2 ----

std::string block_of(const FieldList& fields) {
  std::string out;
  for (const auto& [name, value] : fields) out += literal(name, value);
  return out;
}

std::string frames_of(const Message& m, std::string_view pseudo, bool is_tunnel) {
  std::string out = headers(1, str(pseudo, block_of(m.fields)), m.ends_at_head() && !is_tunnel);
  if (is_tunnel || m.ends_at_head()) return out;
  for (size_t i = 0; i < m.pieces.size(); ++i)
    out += data(1, m.pieces[i], i + 1 == m.pieces.size() && !m.has(Message::kTrailers));
  if (m.has(Message::kTrailers)) return out + headers(1, block_of(m.trailers));
  return m.pieces.empty() ? out + data(1, "", true) : out;
}

// ---- HTTP/1 ----

bool has_break(std::string_view text) { return text.find_first_of("\r\n") != text.npos; }

// What a line of a field can say.  Capitals it says too, but means small letters.
bool fits_line(const std::string& name, const std::string& value) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  const bool has_capital =
      std::any_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  const bool is_bare = value.empty() || (!is_space(value.front()) && !is_space(value.back()));
  return !has_break(name) && !has_break(value) && !has_capital && is_bare &&
         name.find(':') == name.npos;
}
bool fit_lines(const FieldList& fields) {
  return std::all_of(fields.begin(), fields.end(),
                     [](const auto& f) { return fits_line(f.first, f.second); });
}
// Of these the protocols speak in their own ways.
bool speaks_of_connection(const FieldList& fields) {
  return std::any_of(fields.begin(), fields.end(), [](const auto& f) {
    const http::HeaderId id = http::find_header_id(f.first);
    return http::is_connection_specific(id) || id == http::HeaderId::kTe;
  });
}

std::string lines_of(const FieldList& fields) {
  std::string out;
  for (const auto& [name, value] : fields) out += str(name, ": ", value, "\r\n");
  return out;
}

std::string chunks_of(const Message& m) {
  std::string out;
  char size[32];
  for (const std::string& piece : m.pieces) {
    if (piece.empty()) continue;
    std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
    out += str(size, piece, "\r\n");
  }
  return str(out, "0\r\n", lines_of(m.trailers), "\r\n");
}

// What follows the fields: framing, the empty line, the body.
std::string framed(const Message& m, bool bodiless) {
  if (bodiless || m.find("content-length")) return str("\r\n", m.body());
  if (m.ends_at_head() && !m.has(Message::kResponse)) return "\r\n";
  return str("transfer-encoding: chunked\r\n\r\n", chunks_of(m));
}

// ---- requests ----

struct Rendered {
  bool must_refuse = false;  // HTTP/1 would say another message
  bool comparable = true;
  std::string bytes;
};

Rendered render_request(const Message& m, bool is_tunnel) {
  Rendered out;
  const bool has_host = m.find("host").has_value();
  const std::string target = is_tunnel ? m.authority : m.path;
  const auto refuse = [&out] {
    out.must_refuse = true;
    return out;
  };
  const auto skip = [&out] {
    out.comparable = false;
    return out;
  };
  if (m.has(Message::kNoScheme) != is_tunnel || m.has(Message::kNoPath) != is_tunnel)
    return refuse();
  if (!is_tunnel && (m.method == "CONNECT" || http::known_scheme(m.scheme).empty()))
    return refuse();
  if (has_break(m.method) || m.method.find(' ') != m.method.npos) return refuse();
  if (has_break(target) || target.find(' ') != target.npos) return refuse();
  const bool has_authority = !m.has(Message::kNoAuthority);
  if (is_tunnel && !has_authority) return refuse();
  if (has_authority && (has_break(m.authority) || m.authority.empty() ||
                        m.authority.find_first_of("/?# \t") != m.authority.npos))
    return refuse();
  if (!is_tunnel && !m.path.starts_with('/') && m.path.find("://") != m.path.npos) return refuse();
  if (!fit_lines(m.fields) || !fit_lines(m.trailers)) return refuse();
  if (speaks_of_connection(m.fields)) return skip();
  const auto length = m.find("content-length");
  // Trailers behind a length; bytes behind it, which are another request.
  if (length && !is_tunnel) {
    http::MessageFacts facts;
    if (m.has(Message::kTrailers)) return skip();
    if (http::take_length(*length, facts) == FailureKind::kNone &&
        m.body().size() > facts.content_length)
      return refuse();
  }
  std::string line = str(m.method, " ", target);
  std::string host = has_authority && (!has_host) ? str("host: ", m.authority, "\r\n") : "";
  if (has_authority && has_host && !is_tunnel) {
    // The authority of the target is what :authority is.
    if (!m.path.starts_with('/')) return skip();
    line = str(m.method, " http://", m.authority, m.path);
  }
  out.bytes = str(line, " HTTP/1.1\r\n", host, lines_of(m.fields), framed(m, is_tunnel));
  return out;
}

void check_request(const Message& m, uint32_t cuts) {
  const bool is_tunnel = m.method == "CONNECT" && m.has(Message::kNoScheme);
  std::string pseudo = literal(":method", m.method);
  if (!m.has(Message::kNoScheme)) pseudo += literal(":scheme", m.scheme);
  if (!m.has(Message::kNoPath)) pseudo += literal(":path", m.path);
  if (!m.has(Message::kNoAuthority)) pseudo += literal(":authority", m.authority);
  testing::RequestByHttp2 http2(frames_of(m, pseudo, is_tunnel), cuts);
  const testing::Record two = http2.record();
  const Rendered one = render_request(m, is_tunnel);
  check(!one.must_refuse || !two.accepted);
  if (!one.must_refuse && one.comparable) {
    testing::RequestByHttp1 http1(one.bytes, cuts);
    const testing::Record same = http1.record();
    check(same.accepted == two.accepted);
    check(same.text == two.text);
  }
  if (!two.accepted) return;
  testing::RequestByHttp1 again(http2.write(), cuts + 1);
  const testing::Record read = again.record();
  check(read.accepted && read.messages == 1);
  check(read.text == two.text);
}

// ---- responses ----

Rendered render_response(const Message& m) {
  Rendered out;
  const uint16_t status = http::parse_status(m.method);
  // What has no body ends at its head: nobody looks at what follows.
  const bool bodiless =
      http::is_bodiless(status, m.has(Message::kHead) ? http::Method::kHead : http::Method::kGet);
  if (status == 0 || !fit_lines(m.fields) || (!bodiless && !fit_lines(m.trailers))) {
    out.must_refuse = true;
    return out;
  }
  http::MessageFacts facts;
  const auto length = m.find("content-length");
  const bool is_long = length && http::take_length(*length, facts) == FailureKind::kNone &&
                       m.body().size() > facts.content_length;
  const bool follows = !m.pieces.empty() || m.has(Message::kTrailers);
  out.comparable = status >= 200 && !speaks_of_connection(m.fields) && !is_long &&
                   !(length && m.has(Message::kTrailers)) && !(bodiless && follows);
  out.bytes = str("HTTP/1.1 ", m.method, " X\r\n", lines_of(m.fields), framed(m, bodiless));
  return out;
}

void check_response(const Message& m, uint32_t cuts) {
  const std::string_view asked = m.has(Message::kHead) ? "HEAD" : "GET";
  testing::ServerExchange<http::H2ClientConnection> http2(cuts);
  http2.ask(asked);
  http2.receive(str(frame(4, 0, 0, ""), frames_of(m, literal(":status", m.method), false)));
  const testing::Record two = http2.response().record();
  const Rendered one = render_response(m);
  check(!one.must_refuse || !two.accepted);
  if (!one.must_refuse && one.comparable) {
    testing::ServerExchange<http::H1ClientConnection> http1(cuts);
    http1.ask(asked);
    http1.receive(one.bytes);
    const testing::Record same = http1.response().record();
    check(same.accepted == two.accepted);
    check(same.text == two.text);
  }
  if (!two.accepted) return;
  testing::RequestByHttp1 client(str(asked, " / HTTP/1.1\r\nHost: a\r\n\r\n"), 0);
  testing::ServerExchange<http::H1ClientConnection> again(cuts + 1);
  again.ask(asked);
  again.receive(client.write(http2.response()));
  const testing::Record read = again.response().record();
  check(read.accepted && read.text == two.text && !again.has_leftover());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size < 3 || size > 4000) return 0;
  Parts parts({reinterpret_cast<const char*>(bytes), size});
  const uint32_t cuts = parts.byte();
  const Message message(parts);
  message.has(Message::kResponse) ? check_response(message, cuts) : check_request(message, cuts);
  check(Slab::live() == 0);
  return 0;
}
