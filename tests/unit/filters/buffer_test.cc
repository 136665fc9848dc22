#include "tests/unit/filters/filter_fixture.h"

namespace pillion::filters {
namespace {

class BufferFilter : public FilterTest {
 protected:
  BufferFilter() : FilterTest("envoy.extensions.filters.http.buffer.v3.Buffer") {
    configure("{ max_request_bytes: 8 }");
  }
};

TEST_F(BufferFilter, HoldsARequestUntilItIsComplete) {
  Exchange& e = exchange({}, false);
  EXPECT_FALSE(e.passed);
  (void)e.run->on_request_body("1234", false);
  EXPECT_FALSE(e.passed);
  (void)e.run->on_request_body("5678", true);
  EXPECT_TRUE(e.passed);
  EXPECT_EQ(e.body, "12345678");
  EXPECT_EQ(e.head.framing, http::Framing::kLength);
  EXPECT_EQ(e.head.content_length, 8u);
}

TEST_F(BufferFilter, RefusesARequestThatIsTooLong) {
  Exchange& e = exchange({}, false);
  (void)e.run->on_request_body("123456789", false);
  EXPECT_EQ(e.status, 413);
  EXPECT_FALSE(e.passed);
}

TEST_F(BufferFilter, LetsPassWhatHasNoBodyOrNoEnd) {
  EXPECT_TRUE(exchange().passed);
  Exchange upgrade(worker, *chain_, states_, {}, {}, {});
  upgrade.head.upgrade = "websocket";
  upgrade.begin(false);
  EXPECT_TRUE(upgrade.passed);
}

TEST_F(BufferFilter, ARouteHasALimitOfItsOwnOrNone) {
  configure_route("{ buffer: { max_request_bytes: 2 } }");
  Exchange& e = exchange({}, false);
  (void)e.run->on_request_body("123", false);
  EXPECT_EQ(e.status, 413);
  configure_route("{ disabled: true }");
  EXPECT_TRUE(exchange({}, false).passed);
}

TEST_F(BufferFilter, WrongConfigurationsAreNamed) {
  EXPECT_EQ(errors_of("{}"), "f:1:1: max_request_bytes: required field is missing\n");
  const auto zero = errors_of("{ max_request_bytes: 0, max_request_time: 1s }");
  EXPECT_NE(zero.find("max_request_bytes: expected"), zero.npos) << zero;
  EXPECT_NE(zero.find("max_request_time: unknown field"), zero.npos) << zero;
  const auto off = errors_of_route("{ disabled: false }");
  EXPECT_NE(off.find("disabled: expected true, got false"), off.npos) << off;
}

}  // namespace
}  // namespace pillion::filters
