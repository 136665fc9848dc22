#pragma once
// Local replies as configured: local_reply_config of a connection manager (LocalReplyConfig):
// mappers that change status, body and headers of replies which the proxy itself makes, and the
// format of their bodies.

#include <memory>

#include "proxy/config/node.h"
#include "proxy/core/local_reply.h"

namespace pillion::telemetry {

// Closes the mapping; null if the node is missing.
std::shared_ptr<const core::LocalReplies> parse_local_replies(const config::Node& node);

}  // namespace pillion::telemetry
