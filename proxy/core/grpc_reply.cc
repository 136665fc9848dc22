#include "proxy/core/grpc_reply.h"

#include "proxy/base/number_text.h"
#include "proxy/http/grpc.h"

namespace pillion::core {
namespace {

using http::HeaderId;

// gRPC over HTTP/2, "Percent-Encoded": all but visible ASCII and space, and the sign itself.
std::string_view percent_encoded(std::string_view text, Arena& arena) {
  constexpr char kHex[] = "0123456789ABCDEF";
  char* const begin = arena.allocate_array<char>(3 * text.size());
  char* out = begin;
  for (const char c : text) {
    const auto u = static_cast<uint8_t>(c);
    if (u >= 0x20 && u < 0x7f && c != '%') {
      *out++ = c;
      continue;
    }
    *out++ = '%';
    *out++ = kHex[u >> 4];
    *out++ = kHex[u & 15];
  }
  return {begin, static_cast<size_t>(out - begin)};
}

}  // namespace

void make_grpc_reply(http::Headers& headers, LocalReplyText& reply) {
  headers.set(HeaderId::kContentType, http::kGrpcContentType);
  // A filter may have said it (fault).
  if (!headers.has(HeaderId::kGrpcStatus))
    headers.add(HeaderId::kGrpcStatus,
                number_text(headers.arena(), http::grpc_status_of_http(reply.status)));
  std::string_view message = reply.body;
  while (!message.empty() && message.back() == '\n') message.remove_suffix(1);
  if (!message.empty())
    headers.set(HeaderId::kGrpcMessage, percent_encoded(message, headers.arena()));
  reply.status = 200;
  reply.body = {};
}

}  // namespace pillion::core
