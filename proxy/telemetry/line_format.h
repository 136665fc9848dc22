#pragma once
// LineFormat: envoy.config.core.v3.SubstitutionFormatString, compiled: a text or a JSON format.
// Immutable, shared by threads.

#include <string>
#include <variant>

#include "proxy/config/node.h"
#include "proxy/telemetry/format.h"
#include "proxy/telemetry/json_format.h"

namespace pillion::telemetry {

class LineFormat {
 public:
  // Envoy's default line.
  LineFormat() = default;
  explicit LineFormat(Format format) : format_(std::move(format)) {}
  explicit LineFormat(JsonFormat format)
      : format_(std::move(format)), content_type_("application/json") {}

  // A SubstitutionFormatString; closes the mapping.  `escape` is for its texts: JSON escapes
  // anyway.
  static LineFormat parse(const config::Node& node, Escape escape = Escape::kLine);
  // A text format in a scalar.
  static LineFormat parse_text(const config::Node& node, const FormatOptions& options);

  void append(std::string& out, const core::StreamInfo& info) const;
  // Of bodies; "text/plain" unless the configuration or JSON says otherwise.
  [[nodiscard]] const std::string& content_type() const noexcept { return content_type_; }

 private:
  std::variant<std::monostate, Format, JsonFormat> format_;
  std::string content_type_ = "text/plain";
};

}  // namespace pillion::telemetry
