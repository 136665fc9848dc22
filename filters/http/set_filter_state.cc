// envoy.filters.http.set_filter_state: names texts of the request for access logs
// (%FILTER_STATE(key)%) and filters behind it.
#include <string>
#include <vector>

#include "proxy/core/http_filter.h"

namespace pillion::filters {
namespace {

using config::Node;
using core::FilterContext;
using core::FilterVerdict;

constexpr std::string_view kLater = "comes with a later version";

// FilterStateValue.
struct Value {
  std::string key;
  std::string literal;  // or
  std::unique_ptr<const route::ValueFormat> format;
  bool skip_if_empty = false;
};

class Filter;

class Factory final : public core::HttpFilterFactoryOf<Filter, Factory> {
 public:
  std::vector<Value> values;
};

class Filter final : public core::HttpFilter {
 public:
  Filter(const Factory& factory, FilterContext& context) : factory_(factory), context_(context) {}

  FilterVerdict on_request_head(http::RequestHead&, bool) override {
    for (const Value& value : factory_.values) {
      const std::string_view text = value.format
                                        ? value.format->render(context_.arena(), &context_.info())
                                        : std::string_view(value.literal);
      if (!text.empty() || !value.skip_if_empty) context_.set_filter_state(value.key, text);
    }
    return FilterVerdict::kContinue;
  }

 private:
  const Factory& factory_;
  FilterContext& context_;
};

Value parse_value(const Node& node, const core::FilterParseContext& context) {
  Value value;
  value.key = node["object_key"].as_string();
  // Other factories make objects that steer Envoy (clusters, hosts), which ours would not obey.
  const Node kind = node.required("factory_key");
  if (kind.is_present() && kind.raw() != "envoy.string") kind.expected("envoy.string");
  const Node format = node.required("format_string");
  const Node source = format["text_format_source"];
  const Node text = source.is_present() ? source.required("inline_string")
                                        : format["text_format"];  // the older form
  if (format.is_present() && text.is_missing() && source.is_missing())
    format.error("expected text_format_source");
  if (text.raw().find('%') != std::string_view::npos) {
    value.format = context.formats.compile(text);
  } else {
    value.literal = text.as_string_or("");
  }
  source.reject_unknown_keys();
  format.ignore({"json_format"});  // said above
  format.unsupported({"omit_empty_values", "content_type", "formatters", "json_format_options"},
                     kLater);
  format.reject_unknown_keys();
  value.skip_if_empty = node["skip_if_empty"].as_bool_or(false);
  node.ignore({"read_only"});  // nothing else writes the key
  node.unsupported({"shared_with_upstream"}, kLater);
  node.reject_unknown_keys();
  return value;
}

std::shared_ptr<const core::HttpFilterFactory> parse(const Node& node,
                                                     const core::FilterParseContext& context) {
  auto factory = std::make_shared<Factory>();
  for (const Node item : node["on_request_headers"].items())
    factory->values.push_back(parse_value(item, context));
  node.unsupported({"clear_route_cache"}, kLater);
  node.reject_unknown_keys();
  return factory;
}

}  // namespace

extern const core::HttpFilterType kSetFilterState;
const core::HttpFilterType kSetFilterState{
    "envoy.extensions.filters.http.set_filter_state.v3.Config", {}, parse};

}  // namespace pillion::filters
