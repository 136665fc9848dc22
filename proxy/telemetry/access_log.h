#pragma once
// Access logs: `access_log` of listeners, connection managers and TCP proxies
// (config.accesslog.v3.AccessLog), with the sinks file, stdout and stderr.
//
// An AccessLog formats its line into a buffer of the thread and hands it to the writer thread: it
// never waits, and in steady state allocates nothing.

#include <memory>
#include <vector>

#include "proxy/base/log_writer.h"
#include "proxy/config/node.h"
#include "proxy/core/access_logger.h"
#include "proxy/telemetry/access_log_filter.h"
#include "proxy/telemetry/line_format.h"

namespace pillion::telemetry {

class AccessLog final : public core::AccessLogger {
 public:
  // `filter` may be null: every stream.  `file` may be null: nothing is written (`pillion check`).
  AccessLog(std::unique_ptr<const AccessLogFilter> filter, LineFormat format,
            std::shared_ptr<LogFile> file)
      : filter_(std::move(filter)), format_(std::move(format)), file_(std::move(file)) {}

  void log(const core::StreamInfo& info) const override;

 private:
  std::unique_ptr<const AccessLogFilter> filter_;
  LineFormat format_;
  std::shared_ptr<LogFile> file_;
};

// The items of `list`; missing: none.  Errors go to the node's list: an unknown logger, a bad
// format, a file that cannot be opened.  `writer` outlives the result; null: files are not opened.
std::vector<std::shared_ptr<const core::AccessLogger>> parse_access_logs(const config::Node& list,
                                                                         LogWriter* writer);

}  // namespace pillion::telemetry
