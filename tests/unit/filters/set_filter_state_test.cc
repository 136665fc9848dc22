#include "tests/unit/filters/filter_fixture.h"

namespace pillion::filters {
namespace {

class SetFilterState : public FilterTest {
 protected:
  SetFilterState() : FilterTest("envoy.extensions.filters.http.set_filter_state.v3.Config") {}
  // The values of a stream by key, the last one first.
  static std::string state_of(const Exchange& e) {
    std::string text;
    for (const core::FilterState* s = e.info_.filter_state; s != nullptr; s = s->next)
      text += str(s->key, '=', s->value, ';');
    return text;
  }
};

TEST_F(SetFilterState, NamesTextsOfTheRequest) {
  configure(
      "{ on_request_headers: [ { object_key: user, factory_key: envoy.string, "
      "format_string: { text_format_source: { inline_string: 'u-%REQ(X-USER)%' } } }, "
      "{ object_key: zone, factory_key: envoy.string, skip_if_empty: true, "
      "format_string: { text_format_source: { inline_string: '%REQ(X-ZONE)%' } } }, "
      "{ object_key: kind, factory_key: envoy.string, "
      "format_string: { text_format_source: { inline_string: web } } } ] }");
  EXPECT_EQ(state_of(exchange({{"x-user", "ann"}, {"x-zone", "a"}})),
            "kind=web;zone=a;user=u-ann;");
  EXPECT_EQ(state_of(exchange()), "kind=web;user=u-;");
}

TEST_F(SetFilterState, WrongConfigurationsAreNamed) {
  const auto e = errors_of(
      "{ on_request_headers: [ { factory_key: envoy.tcp_proxy.cluster, shared_with_upstream: ONCE, "
      "format_string: {} } ] }");
  EXPECT_NE(e.find("[0].object_key: required field is missing"), e.npos) << e;
  EXPECT_NE(e.find("[0].factory_key: expected envoy.string, got"), e.npos) << e;
  EXPECT_NE(e.find("[0].format_string: expected text_format_source"), e.npos) << e;
  EXPECT_NE(e.find("[0].shared_with_upstream: known to Envoy v3"), e.npos) << e;
}

}  // namespace
}  // namespace pillion::filters
