#include "proxy/telemetry/time_format.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "tests/unit/telemetry/sample.h"

namespace pillion::telemetry {
namespace {

std::string formatted(std::string_view format, int64_t ns = kSampleTimeNs, bool local = false) {
  const auto compiled = TimeFormat::compile(format, local);
  if (!compiled) return compiled.error();
  char text[TimeFormat::kMaxText];
  return {text, compiled->format(WallTime(Duration(ns)), text)};
}

TEST(TimeFormat, DefaultsToEnvoysForm) {
  EXPECT_EQ(formatted(""), "2026-11-24T14:00:00.123Z");
  EXPECT_EQ(formatted("", 0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(formatted("", -1), "1969-12-31T23:59:59.999Z");
}

TEST(TimeFormat, KnowsFractionsAndSeconds) {
  EXPECT_EQ(formatted("%s"), "1795528800");
  EXPECT_EQ(formatted("%s.%3f %6f %9f %f %1f"), "1795528800.123 123456 123456789 123456789 1");
  EXPECT_EQ(formatted("%s%3f"), "1795528800123") << "milliseconds since the epoch";
  EXPECT_EQ(formatted("%E3S %E6S %E*S", kSampleTimeNs - 6789), "00.123 00.123450 00.12345");
  EXPECT_EQ(formatted("%E*S", 5'000'000'000), "05");
}

TEST(TimeFormat, KnowsStrftimesSpecifiers) {
  EXPECT_EQ(formatted("%Y/%m/%dT%H:%M:%S%z"), "2026/11/24T14:00:00+0000");
  EXPECT_EQ(formatted("%F %T %Z 100%%"), "2026-11-24 14:00:00 UTC 100%");
  EXPECT_EQ(formatted("%a %b %e %j %y %I %p"), "Tue Nov 24 328 26 02 PM");
  EXPECT_EQ(formatted("%E4Y %Ez"), "2026 +00:00");
}

TEST(TimeFormat, AgreesWithTheCLibraryForCenturies) {
  // Our own calendar against gmtime_r: every 5 days and some hours from 1900 to 2200.
  for (int64_t seconds = -2208988800; seconds < 7258118400; seconds += 5 * 86400 + 12345) {
    std::tm tm{};
    ASSERT_NE(::gmtime_r(&seconds, &tm), nullptr);
    char expected[64];
    std::strftime(expected, sizeof expected, "%Y-%m-%d %H:%M:%S %j %u", &tm);
    ASSERT_EQ(formatted("%F %T %j %u", seconds * 1'000'000'000), expected) << seconds;
  }
}

TEST(TimeFormat, UsesTheLocalZoneWhenAsked) {
  ::setenv("TZ", "EST5", 1);
  ::tzset();
  EXPECT_EQ(formatted("%H:%M %z %Ez", kSampleTimeNs, true), "09:00 -0500 -05:00");
  EXPECT_EQ(formatted("", kSampleTimeNs, true), "2026-11-24T09:00:00.123-05:00");
  EXPECT_EQ(formatted("%H:%M"), "14:00");
  ::unsetenv("TZ");
  ::tzset();
}

TEST(TimeFormat, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(formatted("%Q"), "unknown time specifier \"%Q\"");
  EXPECT_EQ(formatted("%0f"), "unknown time specifier \"%0\"");
  EXPECT_EQ(formatted("%E0S"), "unknown time specifier \"%E0S\"");
  EXPECT_EQ(formatted("%H%"), "a time format ends with a single %");
  EXPECT_EQ(formatted("%H\n"), "a time format has no control characters");
}

TEST(TimeFormat, CutsWhatIsTooLong) {
  EXPECT_EQ(formatted(std::string(2000, 'x')).size(), TimeFormat::kMaxText);
}

}  // namespace
}  // namespace pillion::telemetry
