#pragma once
// Replies of the proxy itself to gRPC calls: status 200 and the error as gRPC's clients read it
// (envoy: Utility::sendLocalReply).

#include "proxy/core/local_reply.h"
#include "proxy/http/headers.h"

namespace pillion::core {

// Turns `reply` into a Trailers-Only response: its status into grpc-status (gRPC's mapping of HTTP
// status codes), its text into grpc-message.  The fields go to `headers`, the reply gets no body.
void make_grpc_reply(http::Headers& headers, LocalReplyText& reply);

}  // namespace pillion::core
