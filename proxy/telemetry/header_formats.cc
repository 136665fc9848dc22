#include "proxy/telemetry/header_formats.h"

#include "proxy/telemetry/format.h"

namespace pillion::telemetry {
namespace {

class HeaderFormat final : public route::ValueFormat {
 public:
  explicit HeaderFormat(Format format) : format_(std::move(format)) {}
  std::string_view render(Arena& arena, const void* context) const override {
    return context == nullptr
               ? std::string_view()
               : format_.render(arena, *static_cast<const core::StreamInfo*>(context));
  }

 private:
  Format format_;
};

}  // namespace

std::unique_ptr<const route::ValueFormat> HeaderFormats::compile(const config::Node& value) const {
  // Escaped controls keep CR, LF and NUL out of the field.
  Result<Format> format =
      Format::compile(value.raw(), {Escape::kControls, /*omit_empty_values=*/true});
  if (format) return std::make_unique<const HeaderFormat>(std::move(*format));
  value.error(format.error());
  return nullptr;
}

}  // namespace pillion::telemetry
