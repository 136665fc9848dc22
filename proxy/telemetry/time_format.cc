#include "proxy/telemetry/time_format.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <ctime>

#include "proxy/base/str.h"

namespace pillion::telemetry {
namespace {

// A bounded place to write to.
class Out {
 public:
  explicit Out(char* begin) : begin_(begin) {}
  void put(std::string_view text) {
    const size_t n = std::min(text.size(), TimeFormat::kMaxText - size_);
    std::memcpy(begin_ + size_, text.data(), n);
    size_ += n;
  }
  void put(char c) { put(std::string_view(&c, 1)); }
  void put_number(int64_t value) {
    char text[24];
    put({text, static_cast<size_t>(std::to_chars(text, text + sizeof text, value).ptr - text)});
  }
  void put_padded(int64_t value, int width) {
    char text[24];
    for (int i = width; i-- > 0; value /= 10) text[i] = static_cast<char>('0' + value % 10);
    put({text, static_cast<size_t>(width)});
  }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  char* begin_;
  size_t size_ = 0;
};

struct Moment {
  int64_t seconds;
  int64_t nanoseconds;  // never negative
};

Moment split(WallTime time) {
  const int64_t total = time.time_since_epoch().count();
  int64_t seconds = total / 1'000'000'000;
  int64_t rest = total % 1'000'000'000;
  if (rest < 0) rest += 1'000'000'000, --seconds;
  return {seconds, rest};
}

// The proleptic Gregorian date of a day counted from 1970-01-01; years are taken to begin in March,
// so that the leap day is the last of its year.
void set_date(std::tm& tm, int64_t day) {
  constexpr int64_t kDaysOf400Years = 146097;
  const int64_t since_march = day + 719468;  // from 0000-03-01
  const int64_t era =
      (since_march >= 0 ? since_march : since_march - (kDaysOf400Years - 1)) / kDaysOf400Years;
  const int64_t day_of_era = since_march - era * kDaysOf400Years;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month = (5 * day_of_year + 2) / 153;  // 0 is March
  tm.tm_mday = static_cast<int>(day_of_year - (153 * month + 2) / 5 + 1);
  tm.tm_mon = static_cast<int>(month < 10 ? month + 2 : month - 10);
  const int64_t year = year_of_era + era * 400 + (month < 10 ? 0 : 1);
  tm.tm_year = static_cast<int>(year - 1900);
  tm.tm_wday = static_cast<int>(((day + 4) % 7 + 7) % 7);
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  constexpr int kBefore[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  tm.tm_yday = kBefore[tm.tm_mon] + tm.tm_mday - 1 + (leap && tm.tm_mon > 1 ? 1 : 0);
}

std::tm to_utc(int64_t seconds) {
  std::tm tm{};
  int64_t day = seconds / 86400;
  int64_t rest = seconds % 86400;
  if (rest < 0) rest += 86400, --day;
  set_date(tm, day);
  tm.tm_hour = static_cast<int>(rest / 3600);
  tm.tm_min = static_cast<int>(rest / 60 % 60);
  tm.tm_sec = static_cast<int>(rest % 60);
  tm.tm_zone = "UTC";
  return tm;
}

void put_date(Out& out, const std::tm& tm) {
  out.put_padded(tm.tm_year + 1900, 4);
  out.put('-');
  out.put_padded(tm.tm_mon + 1, 2);
  out.put('-');
  out.put_padded(tm.tm_mday, 2);
}

void put_time(Out& out, const std::tm& tm) {
  out.put_padded(tm.tm_hour, 2);
  out.put(':');
  out.put_padded(tm.tm_min, 2);
  out.put(':');
  out.put_padded(tm.tm_sec, 2);
}

void put_fraction(Out& out, int64_t nanoseconds, int digits) {
  for (int i = digits; i < 9; ++i) nanoseconds /= 10;
  out.put_padded(nanoseconds, digits);
}

// ".5", ".123456", or nothing for a whole second.
void put_needed_fraction(Out& out, int64_t nanoseconds) {
  if (nanoseconds == 0) return;
  int digits = 9;
  while (nanoseconds % 10 == 0) nanoseconds /= 10, --digits;
  out.put('.');
  out.put_padded(nanoseconds, digits);
}

void put_zone(Out& out, long offset) {
  out.put(offset < 0 ? '-' : '+');
  const long minutes = (offset < 0 ? -offset : offset) / 60;
  out.put_padded(minutes / 60, 2);
  out.put(':');
  out.put_padded(minutes % 60, 2);
}

constexpr std::string_view kSpecifiers = "aAbBcCdDeFgGhHIjklmMnpPrRStTuUVwWxXyYzZ";

}  // namespace

Result<TimeFormat> TimeFormat::compile(std::string_view format, bool local_time) {
  TimeFormat compiled;
  compiled.local_time_ = local_time;
  if (format.empty() && local_time) format = "%Y-%m-%dT%H:%M:%E3S%Ez";
  for (const char c : format) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return Error{"a time format has no control characters"};
  }
  for (size_t i = 0; i < format.size();) {
    const size_t percent = std::min(format.find('%', i), format.size());
    compiled.add_literal(format.substr(i, percent - i));
    i = percent + 1;
    if (percent == format.size()) break;
    if (i == format.size()) return Error{"a time format ends with a single %"};
    const char c = format[i];
    if (c == '%') {
      compiled.add_literal("%");
      ++i;
    } else if (kSpecifiers.find(c) != std::string_view::npos) {
      compiled.add_plain(c);
      ++i;
    } else {
      const Result<size_t> taken = compiled.compile_extended(format.substr(i));
      if (!taken) return Error{taken.error()};
      i += *taken;
    }
  }
  return compiled;
}

// %s, %f, %3f, %E3S, %E*S, %E4Y, %Ez, %E*z; returns the length of what follows the '%'.
Result<size_t> TimeFormat::compile_extended(std::string_view rest) {
  const auto digit = [rest](size_t at) {
    return at < rest.size() && rest[at] >= '1' && rest[at] <= '9' ? rest[at] - '0' : 0;
  };
  const auto is = [rest](std::string_view text) { return rest.substr(0, text.size()) == text; };
  if (is("s")) return parts_.push_back({Kind::kEpoch, 0, {}}), 1;
  if (is("f")) return parts_.push_back({Kind::kFraction, 9, {}}), 1;
  if (digit(0) != 0 && rest.substr(1, 1) == "f") {
    return parts_.push_back({Kind::kFraction, digit(0), {}}), 2;
  }
  if (is("E*S")) return add_plain('S'), parts_.push_back({Kind::kNeededFraction, 0, {}}), 3;
  if (is("E4Y")) return add_plain('Y'), 3;
  if (is("Ez")) return parts_.push_back({Kind::kZoneWithColon, 0, {}}), 2;
  if (is("E*z")) return parts_.push_back({Kind::kZoneWithColon, 0, {}}), 3;
  if (is("E") && digit(1) != 0 && rest.substr(2, 1) == "S") {
    add_plain('S');
    add_literal(".");
    return parts_.push_back({Kind::kFraction, digit(1), {}}), 3;
  }
  return Error{str("unknown time specifier \"%", rest.substr(0, is("E") ? 3 : 1), "\"")};
}

void TimeFormat::add_literal(std::string_view text) {
  if (text.empty()) return;
  if (parts_.empty() || parts_.back().kind != Kind::kLiteral)
    parts_.push_back({Kind::kLiteral, 0, {}});
  parts_.back().text += text;
}

void TimeFormat::add_plain(char specifier) {
  if (specifier == 'F') return parts_.push_back({Kind::kDate, 0, {}});
  if (specifier == 'T') return parts_.push_back({Kind::kTime, 0, {}});
  // The C library looks at TZ for these, under a lock.
  if (specifier == 'z' && !local_time_) return add_literal("+0000");
  if (specifier == 'Z' && !local_time_) return add_literal("UTC");
  if (parts_.empty() || parts_.back().kind != Kind::kStrftime)
    parts_.push_back({Kind::kStrftime, 0, {}});
  parts_.back().text += '%';
  parts_.back().text += specifier;
}

// The text of the last second is kept, for most lines fall into the same one: only the milliseconds
// in front of its last byte change.
size_t TimeFormat::format_default(WallTime time, char* out) const {
  struct Second {
    int64_t seconds = INT64_MIN;
    char text[32] = {};
    size_t size = 0;
  };
  static thread_local Second last;
  const Moment moment = split(time);
  if (moment.seconds != last.seconds) {
    const std::tm tm = to_utc(moment.seconds);
    char text[kMaxText];
    Out second(text);
    put_date(second, tm);
    second.put('T');
    put_time(second, tm);
    second.put(".000Z");
    last.size = std::min(second.size(), sizeof last.text);
    std::memcpy(last.text, text, last.size);
    last.seconds = moment.seconds;
  }
  static_assert(kMaxText >= sizeof last.text);
  std::memcpy(out, last.text, sizeof last.text);
  auto milliseconds = static_cast<uint32_t>(moment.nanoseconds) / 1'000'000;
  for (char* digit = out + last.size - 2; milliseconds != 0; milliseconds /= 10) {
    *digit-- = static_cast<char>('0' + milliseconds % 10);
  }
  return last.size;
}

size_t TimeFormat::format(WallTime time, char* out) const {
  if (parts_.empty()) return format_default(time, out);
  const Moment moment = split(time);
  std::tm tm = to_utc(moment.seconds);
  if (local_time_) ::localtime_r(&moment.seconds, &tm);
  Out to(out);
  for (const Part& part : parts_) {
    switch (part.kind) {
      case Kind::kLiteral:
        to.put(part.text);
        break;
      case Kind::kStrftime: {
        char text[kMaxText];
        to.put({text, std::strftime(text, sizeof text, part.text.c_str(), &tm)});
        break;
      }
      case Kind::kEpoch:
        to.put_number(moment.seconds);
        break;
      case Kind::kFraction:
        put_fraction(to, moment.nanoseconds, part.digits);
        break;
      case Kind::kNeededFraction:
        put_needed_fraction(to, moment.nanoseconds);
        break;
      case Kind::kDate:
        put_date(to, tm);
        break;
      case Kind::kTime:
        put_time(to, tm);
        break;
      case Kind::kZoneWithColon:
        put_zone(to, tm.tm_gmtoff);
        break;
    }
  }
  return to.size();
}

}  // namespace pillion::telemetry
