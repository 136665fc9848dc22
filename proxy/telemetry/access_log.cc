#include "proxy/telemetry/access_log.h"

#include "proxy/base/str.h"
#include "proxy/config/suggest.h"

namespace pillion::telemetry {
namespace {

using config::Node;

constexpr std::string_view kFile = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
constexpr std::string_view kStdout = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";
constexpr std::string_view kStderr = "envoy.extensions.access_loggers.stream.v3.StderrAccessLog";
constexpr std::string_view kKnown[] = {kFile, kStdout, kStderr};
constexpr std::string_view kNotYet = "envoy.extensions.access_loggers.";

// log_format, or the older ways to write a format; none: Envoy's default line.
LineFormat parse_format(const Node& node) {
  const Node format = node.one_of({"log_format", "format", "json_format", "typed_json_format"},
                                  config::Need::kAtMostOne);
  if (format.is_missing()) return {};
  if (format.key() == "format") return LineFormat::parse_text(format, {});
  if (format.key() == "log_format" || format.key() == "logFormat") return LineFormat::parse(format);
  return LineFormat(JsonFormat::parse(format, {}));
}

std::shared_ptr<LogFile> open(const std::string& path, const Node& where, LogWriter* writer) {
  if (writer == nullptr || path.empty()) return nullptr;
  auto file = writer->open(path);
  if (file) return *file;
  where.error(file.error());
  return nullptr;
}

std::shared_ptr<const core::AccessLogger> parse_one(const Node& item, LogWriter* writer) {
  (void)item["name"].as_string_or("");
  std::unique_ptr<const AccessLogFilter> filter;
  if (item.has("filter")) filter = parse_access_log_filter(item["filter"]);
  const auto [type, node] = item.required("typed_config").typed_config();
  item.reject_unknown_keys();
  if (type != kFile && type != kStdout && type != kStderr) {
    if (type.substr(0, kNotYet.size()) == kNotYet) {
      node.error(str("access logger \"", type, "\" is not supported yet"));
    } else if (!type.empty()) {
      node.error(str("unknown access logger \"", config::printable(type), "\"",
                     config::did_you_mean(type, kKnown)));
    }
    return nullptr;
  }
  std::string path = type == kStdout ? "/dev/stdout" : "/dev/stderr";
  if (type == kFile) path = node["path"].as_string();
  auto file = open(path, type == kFile ? node["path"] : node, writer);
  LineFormat format;
  if (type == kFile) {
    format = parse_format(node);
  } else if (node.has("log_format")) {
    format = LineFormat::parse(node["log_format"]);
  }
  node.reject_unknown_keys();
  return std::make_shared<const AccessLog>(std::move(filter), std::move(format), std::move(file));
}

}  // namespace

void AccessLog::log(const core::StreamInfo& info) const {
  if (filter_ != nullptr && !filter_->matches(info)) return;
  if (file_ == nullptr) return;
  static thread_local std::string line;
  line.clear();
  format_.append(line, info);
  file_->append(line);
}

std::vector<std::shared_ptr<const core::AccessLogger>> parse_access_logs(const Node& list,
                                                                         LogWriter* writer) {
  std::vector<std::shared_ptr<const core::AccessLogger>> loggers;
  for (const Node item : list.items()) {
    if (auto logger = parse_one(item, writer)) loggers.push_back(std::move(logger));
  }
  return loggers;
}

}  // namespace pillion::telemetry
