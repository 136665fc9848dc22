#pragma once
// HeaderFormats: header values with operators for route/ (request_headers_to_add and its kin).
// The context of rendering is a `const core::StreamInfo*`.

#include <memory>

#include "proxy/route/value_format.h"

namespace pillion::telemetry {

class HeaderFormats final : public route::FormatFactory {
 public:
  // What has no value is left out, as in Envoy: a header of nothing else is not added.
  [[nodiscard]] std::unique_ptr<const route::ValueFormat> compile(
      const config::Node& value) const override;
};

}  // namespace pillion::telemetry
