#include "proxy/telemetry/local_replies.h"

#include <optional>
#include <string>
#include <vector>

#include "proxy/route/header_mutation.h"
#include "proxy/telemetry/access_log_filter.h"
#include "proxy/telemetry/header_formats.h"
#include "proxy/telemetry/line_format.h"
#include "proxy/tls/data_source.h"

namespace pillion::telemetry {
namespace {

using config::Node;

// A body is no line: its breaks stay, those of %LOCAL_REPLY_BODY% first of all.
constexpr Escape kBodyEscape = Escape::kNone;

// ResponseMapper.
struct Mapper {
  std::unique_ptr<const AccessLogFilter> filter;
  uint16_t status = 0;  // 0: unchanged
  std::optional<std::string> body;
  std::optional<LineFormat> format;
  route::HeaderMutations headers;
};

class ConfiguredReplies final : public core::LocalReplies {
 public:
  void apply(const core::StreamInfo& info, Arena& arena, http::Headers& headers,
             core::LocalReplyText& reply) const override {
    core::StreamInfo seen = info;  // what formats see is the reply as it becomes
    seen.response_code = reply.status;
    const LineFormat* format = format_ ? &*format_ : nullptr;
    for (const Mapper& mapper : mappers_) {
      if (mapper.filter == nullptr || !mapper.filter->matches(seen)) continue;
      if (mapper.status != 0) seen.response_code = reply.status = mapper.status;
      if (mapper.body) reply.body = *mapper.body;
      if (mapper.format) format = &*mapper.format;
      seen.local_reply_body = reply.body;
      mapper.headers.apply(headers, &seen);
      break;
    }
    if (format == nullptr) return;
    seen.local_reply_body = reply.body;
    static thread_local std::string text;
    text.clear();
    format->append(text, seen);
    reply.body = arena.copy(text);
    reply.content_type = format->content_type();
  }

  std::vector<Mapper> mappers_;
  std::optional<LineFormat> format_;
};

Mapper parse_mapper(const Node& node) {
  static const HeaderFormats formats;
  Mapper mapper;
  mapper.filter = parse_access_log_filter(node.required("filter"));
  mapper.status = static_cast<uint16_t>(node["status_code"].as_u32_or(0, 200, 599));
  if (node.has("body")) mapper.body = tls::read_data_source(node["body"]).text;
  if (node.has("body_format_override"))
    mapper.format = LineFormat::parse(node["body_format_override"], kBodyEscape);
  mapper.headers = route::HeaderMutations(node["headers_to_add"], {}, &formats);
  node.reject_unknown_keys();
  return mapper;
}

}  // namespace

std::shared_ptr<const core::LocalReplies> parse_local_replies(const Node& node) {
  if (node.is_missing()) return nullptr;
  auto replies = std::make_shared<ConfiguredReplies>();
  for (const Node mapper : node["mappers"].items())
    replies->mappers_.push_back(parse_mapper(mapper));
  if (node.has("body_format"))
    replies->format_ = LineFormat::parse(node["body_format"], kBodyEscape);
  node.reject_unknown_keys();
  return replies;
}

}  // namespace pillion::telemetry
