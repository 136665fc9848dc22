// typed_per_filter_config of a table that stands alone, as RDS brings it.
#include <gtest/gtest.h>

#include "filters/registry.h"
#include "proxy/base/str.h"
#include "proxy/config/loader.h"
#include "proxy/core/parse.h"
#include "proxy/telemetry/header_formats.h"

namespace pillion::filters {
namespace {

struct Services final : core::ParseServices {
  std::vector<std::shared_ptr<const core::AccessLogger>> access_logs(const config::Node&) override {
    return {};
  }
  std::shared_ptr<const core::LocalReplies> local_replies(const config::Node&) override {
    return nullptr;
  }
  const route::FormatFactory& header_formats() override { return formats; }
  std::span<const core::HttpFilterType> http_filters() override { return filters::http_filters(); }
  telemetry::HeaderFormats formats;
};

struct Overrides {
  explicit Overrides(std::string_view yaml) : document(config::load_text(yaml, "r", errors)) {
    list = core::make_override_parser(services)->parse(document->root(errors));
    messages = errors.to_string() + errors.to_string(config::Severity::kWarning);
  }
  config::Errors errors;
  config::DocumentPtr document;
  Services services;
  std::unique_ptr<const route::FilterOverrides> list;
  std::string messages;
};

constexpr std::string_view kConfig =
    "'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig";
constexpr std::string_view kBuffer =
    "'@type': type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute, "
    "buffer: { max_request_bytes: 7 }";

TEST(RdsOverrides, AreReadByTheTypeOfTheirMessage) {
  const Overrides o(str("{ mine: { ", kBuffer, " }, off: { ", kConfig, ", disabled: true }, on: { ",
                        kConfig, ", config: {} }, wrapped: { ", kConfig, ", config: { ", kBuffer,
                        " } } }"));
  EXPECT_EQ(o.messages, "");
  ASSERT_NE(o.list, nullptr);
  ASSERT_EQ(o.list->size(), 4u);
  for (const route::FilterOverride& override : *o.list) {
    const bool is_configured = override.filter == "mine" || override.filter == "wrapped";
    EXPECT_EQ(override.config != nullptr, is_configured) << override.filter;
    EXPECT_EQ(override.type != nullptr, is_configured) << override.filter;
    EXPECT_EQ(override.disabled, override.filter == "off");
  }
}

TEST(RdsOverrides, OfUnknownTypesAreRefusedUnlessOptional) {
  const std::string nobodys = "'@type': type.googleapis.com/acme.Nothing";
  const Overrides refused(str("{ a: { ", nobodys, " } }"));
  EXPECT_EQ(refused.messages,
            "r:1:17: a.@type: no filter has the configuration \"acme.Nothing\"\n");
  const Overrides optional(
      str("{ a: { ", kConfig, ", is_optional: true, config: { ", nobodys, " } } }"));
  EXPECT_TRUE(optional.errors.ok()) << optional.messages;
  EXPECT_NE(optional.messages.find("warning"), std::string::npos) << optional.messages;
}

TEST(RdsOverrides, OfNothingAreNone) { EXPECT_EQ(Overrides("{}").list, nullptr); }

TEST(RdsOverrides, OfEnvoysTypesAreRefusedThoughOptional) {
  const Overrides refused(
      str("{ a: { ", kConfig,
          ", is_optional: true, config: { '@type': "
          "type.googleapis.com/envoy.extensions.filters.http.filter_chain.v3.PerRoute } } }"));
  EXPECT_NE(refused.messages.find("no filter has the configuration"), std::string::npos);
  EXPECT_FALSE(refused.errors.ok());
}

}  // namespace
}  // namespace pillion::filters
