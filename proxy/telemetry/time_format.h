#pragma once
// TimeFormat: the argument of %START_TIME(...)%, compiled: strftime's specifiers and
//   %s          seconds since the epoch
//   %f %1f-%9f  the fraction of the second, with so many digits (9)
//   %E1S-%E9S   seconds with a fraction; %E*S with as many digits as it needs
//   %Ez %E*z    the zone as +hh:mm
// Without an argument it is Envoy's default, 2026-11-24T14:00:00.123Z.
//
// Immutable.  UTC is computed here: the C library's gmtime_r takes a lock that workers would share.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"

namespace pillion::telemetry {

class TimeFormat {
 public:
  // At most that many bytes come out; longer results are cut.
  static constexpr size_t kMaxText = 512;

  static Result<TimeFormat> compile(std::string_view format, bool local_time = false);
  // Returns the length; `out` has room for kMaxText bytes.
  size_t format(WallTime time, char* out) const;

 private:
  enum class Kind : uint8_t {
    kLiteral,
    kStrftime,
    kEpoch,
    kFraction,
    kNeededFraction,
    kDate,
    kTime,
    kZoneWithColon
  };
  struct Part {
    Kind kind;
    int digits = 0;
    std::string text;  // of kLiteral and kStrftime
  };
  Result<size_t> compile_extended(std::string_view rest);
  void add_literal(std::string_view text);
  void add_plain(char specifier);
  size_t format_default(WallTime time, char* out) const;

  std::vector<Part> parts_;  // none: the default format
  bool local_time_ = false;
};

}  // namespace pillion::telemetry
