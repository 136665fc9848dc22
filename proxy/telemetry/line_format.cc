#include "proxy/telemetry/line_format.h"

#include "proxy/base/str.h"
#include "proxy/tls/data_source.h"

namespace pillion::telemetry {
namespace {

using config::Node;

// Extensions that add operators; those of the first two are built in.
void check_formatters(const Node& list) {
  for (const Node item : list.items()) {
    (void)item["name"].as_string_or("");
    const auto [type, typed] = item["typed_config"].typed_config();
    if (type == "envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery") {
      typed.reject_unknown_keys();
    } else if (!type.empty()) {
      typed.error(str("formatter \"", type, "\" is not supported yet"));
    }
    item.reject_unknown_keys();
  }
}

bool is_file(const Node& source) { return source.has("filename"); }

}  // namespace

LineFormat LineFormat::parse_text(const Node& node, const FormatOptions& options) {
  Result<Format> format = Format::compile(node.raw(), options);
  if (format) return LineFormat(std::move(*format));
  node.error(format.error());
  return {};
}

LineFormat LineFormat::parse(const Node& node, Escape escape) {
  const bool omit = node["omit_empty_values"].as_bool_or(false);
  const Node sort = node["json_format_options"]["sort_properties"];
  const bool sorted = sort.as_bool_or(false);
  if (node.has("json_format_options")) node["json_format_options"].reject_unknown_keys();
  check_formatters(node["formatters"]);
  const std::string content_type = node["content_type"].as_string_or("");
  LineFormat result;
  const Node choice = node.one_of({"text_format", "json_format", "text_format_source"});
  const FormatOptions options{escape, omit};
  if (choice.key() == "json_format" || choice.key() == "jsonFormat") {
    result = LineFormat(JsonFormat::parse(choice, {omit, sorted}));
  } else if (choice.is_mapping() && !is_file(choice)) {
    const Node text = choice["inline_string"];
    result = text.is_present() ? parse_text(text, options) : LineFormat();
    if (text.is_missing()) choice.expected("filename or inline_string");
    choice.ignore({"inline_bytes", "environment_variable"});  // said
    choice.ignore({"watched_directory"});                     // of a file
    choice.reject_unknown_keys();
  } else if (choice.is_mapping()) {
    Result<Format> format = Format::compile(tls::read_data_source(choice).text, options);
    if (format) {
      result = LineFormat(std::move(*format));
    } else {
      choice.error(format.error());
    }
  } else if (choice.is_present()) {
    result = parse_text(choice, options);
  }
  if (!content_type.empty()) result.content_type_ = content_type;
  node.reject_unknown_keys();
  return result;
}

void LineFormat::append(std::string& out, const core::StreamInfo& info) const {
  if (const auto* text = std::get_if<Format>(&format_)) return text->append(out, info);
  if (const auto* json = std::get_if<JsonFormat>(&format_)) return json->append(out, info);
  Format::default_line().append(out, info);
}

}  // namespace pillion::telemetry
