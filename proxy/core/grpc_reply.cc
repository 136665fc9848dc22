#include "proxy/core/grpc_reply.h"

namespace pillion::core {
namespace {

using http::HeaderId;

constexpr std::string_view kGrpc = "application/grpc";

// gRPC's doc/http-grpc-status-mapping.md.
std::string_view grpc_status(uint16_t status) noexcept {
  switch (status) {
    case 400:
      return "13";  // INTERNAL
    case 401:
      return "16";  // UNAUTHENTICATED
    case 403:
      return "7";  // PERMISSION_DENIED
    case 404:
      return "12";  // UNIMPLEMENTED
    case 429:
    case 502:
    case 503:
    case 504:
      return "14";  // UNAVAILABLE
    default:
      return "2";  // UNKNOWN
  }
}

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

bool is_grpc(const http::Headers& request) noexcept {
  const std::string_view type = request.get(HeaderId::kContentType);
  if (!type.starts_with(kGrpc)) return false;
  const std::string_view rest = type.substr(kGrpc.size());
  return rest.empty() || rest.front() == '+' || rest.front() == ';';
}

void make_grpc_reply(http::Headers& headers, LocalReplyText& reply) {
  headers.set(HeaderId::kContentType, kGrpc);
  // A filter may have said it (fault).
  if (!headers.has(HeaderId::kGrpcStatus))
    headers.add(HeaderId::kGrpcStatus, grpc_status(reply.status));
  std::string_view message = reply.body;
  while (!message.empty() && message.back() == '\n') message.remove_suffix(1);
  if (!message.empty())
    headers.set(HeaderId::kGrpcMessage, percent_encoded(message, headers.arena()));
  reply.status = 200;
  reply.body = {};
}

}  // namespace pillion::core
