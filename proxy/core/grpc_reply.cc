#include "proxy/core/grpc_reply.h"

#include "proxy/http/grpc.h"

namespace pillion::core {

using http::HeaderId;

void make_grpc_reply(http::Headers& headers, LocalReplyText& reply) {
  headers.set(HeaderId::kContentType, http::kGrpcContentType);
  // A filter may have said it (fault).
  if (!headers.has(HeaderId::kGrpcStatus))
    headers.add(HeaderId::kGrpcStatus, http::grpc_status_text(reply.status));
  std::string_view message = reply.body;
  while (!message.empty() && message.back() == '\n') message.remove_suffix(1);
  if (!message.empty())
    headers.set(HeaderId::kGrpcMessage, http::grpc_message_text(message, headers.arena()));
  reply.status = 200;
  reply.body = {};
}

}  // namespace pillion::core
