#pragma once
// AccessLogFilter: which streams an access log tells of (config.accesslog.v3.AccessLogFilter).
// Immutable, shared by threads.

#include <memory>

#include "proxy/config/node.h"
#include "proxy/core/stream_info.h"

namespace pillion::telemetry {

class AccessLogFilter {
 public:
  virtual ~AccessLogFilter() = default;
  [[nodiscard]] virtual bool matches(const core::StreamInfo& info) const = 0;
};

// Closes the mapping.  Null after an error.
std::unique_ptr<const AccessLogFilter> parse_access_log_filter(const config::Node& node);

}  // namespace pillion::telemetry
