#pragma once
// LocalReplies: local_reply_config of a connection manager: how replies that the proxy itself makes
// are mapped and worded.  Immutable, shared by workers.  Implemented beside the formatter it needs.

#include <cstdint>
#include <string_view>

#include "proxy/core/stream_info.h"

namespace pillion::core {

struct LocalReplyText {
  uint16_t status;
  std::string_view body;
  std::string_view content_type;
};

class LocalReplies {
 public:
  virtual ~LocalReplies() = default;
  // Rewrites `reply` by the first mapper whose filter matches and by the body format; texts are put
  // into `arena`; headers_to_add of the mapper go to `headers`.
  virtual void apply(const StreamInfo& info, Arena& arena, http::Headers& headers,
                     LocalReplyText& reply) const = 0;
};

}  // namespace pillion::core
