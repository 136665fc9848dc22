#pragma once
// What the first bytes of a connection tell, without taking part in the conversation
// (listener filters tls_inspector and http_inspector).  Pure functions over the bytes so far; call
// again with more while the answer is kNeedMore.

#include <string_view>
#include <vector>

namespace pillion::core {

enum class Sniff { kNeedMore, kTls, kHttp1, kHttp2, kOther };

struct ClientHello {
  std::string_view server_name;  // as sent; empty without SNI
  std::vector<std::string_view> alpn;
};

// Is it a TLS record with a complete ClientHello (RFC 8446, 4.1.2; possibly in several records)?
// kOther for anything that is not TLS or is malformed: it is then treated as plain text, as Envoy
// does.  Views of `hello` point into `scratch`, which takes the handshake without record headers.
Sniff sniff_tls(std::string_view bytes, std::vector<char>& scratch, ClientHello& hello);

// HTTP/1 request line, HTTP/2 preface, or neither.
Sniff sniff_http(std::string_view bytes);

// A ClientHello longer than this is not waited for (Envoy: max_client_hello_size).
inline constexpr size_t kMaxClientHello = 16 * 1024;

}  // namespace pillion::core
