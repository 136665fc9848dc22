#pragma once
// The operational log: what the proxy has to say to the person who runs it.
//
//   log::info(log::kUpstream, "cluster is warm", {{"cluster", name}, {"hosts", hosts.size()}});
//   static log::Limit limit{10s};                          // for lines that a peer can trigger
//   log::warning(limit, log::kTls, "handshake failed", {{"peer", address}, {"reason", text}});
//
//   [2026-11-24 14:00:00.123][4711][info][upstream] cluster is warm: cluster=orders hosts=3
//
// A level that is off costs one load and one branch; values are formatted only when a line is made.
// The text names the event and, where there is one, the likely cause.  Values of any origin may be
// given: they are quoted and escaped.
//
// Callers never wait: after attach() lines go to the writer thread by the caller's queue (full: the
// line is dropped and counted).  Before attach() and after detach() they are written at once.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"

namespace pillion {
class LogWriter;
}

namespace pillion::log {

// Envoy's levels, in the order of -l.
enum class Level : uint8_t { kTrace, kDebug, kInfo, kWarning, kError, kCritical, kOff };

enum class Component : uint8_t {
#define COMPONENT(constant, name) constant,
#include "proxy/base/log_components.inc"
#undef COMPONENT
  kCount
};
using enum Component;

// A key and a value that is not formatted yet; borrows both until the call ends.
class Field {
 public:
  Field(std::string_view key, std::string_view v) noexcept
      : key_(key), kind_(Kind::kText), text_(v) {}
  Field(std::string_view key, const char* v) noexcept : Field(key, std::string_view(v)) {}
  Field(std::string_view key, const std::string& v) noexcept : Field(key, std::string_view(v)) {}
  Field(std::string_view key, bool v) noexcept : Field(key, v ? "true" : "false") {}
  Field(std::string_view key, double v) noexcept : key_(key), kind_(Kind::kDouble), double_(v) {}
  Field(std::string_view key, Duration v) noexcept
      : key_(key), kind_(Kind::kDuration), signed_(v.count()) {}
  template <typename Rep, typename Period>
  Field(std::string_view key, std::chrono::duration<Rep, Period> v) noexcept
      : Field(key, std::chrono::duration_cast<Duration>(v)) {}
  template <typename T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
  Field(std::string_view key, T v) noexcept
      : key_(key), kind_(std::is_signed_v<T> ? Kind::kSigned : Kind::kUnsigned) {
    if constexpr (std::is_signed_v<T>) {
      signed_ = v;
    } else {
      unsigned_ = v;
    }
  }
  // Anything with to_string(), such as io::Address; called only if the line is made.
  template <typename T>
    requires requires(const T& t) { std::string(t.to_string()); }
  Field(std::string_view key, const T& object) noexcept
      : key_(key),
        kind_(Kind::kObject),
        object_{&object,
                [](const void* o) { return std::string(static_cast<const T*>(o)->to_string()); }} {}

  // Appends " key=value".
  void append_to(std::string& out) const;

 private:
  enum class Kind : uint8_t { kText, kSigned, kUnsigned, kDouble, kDuration, kObject };
  struct Object {
    const void* object;
    std::string (*to_string)(const void*);
  };
  std::string_view key_;
  Kind kind_;
  union {
    std::string_view text_;
    int64_t signed_;
    uint64_t unsigned_;
    double double_;
    Object object_;
  };
};
using Fields = std::initializer_list<Field>;

// At most one line an interval; the next one tells how many were left out ("suppressed=17").
// Thread-safe; as a rule a static beside the call.
class Limit {
 public:
  constexpr explicit Limit(Duration interval) noexcept : interval_(interval) {}
  // May a line be written now?  If so `suppressed` tells how many were refused since the last one.
  bool admit(Instant now, uint64_t& suppressed) noexcept;

 private:
  const Duration interval_;
  std::atomic<int64_t> next_{0};
  std::atomic<uint64_t> suppressed_{0};
};

namespace detail {
inline constinit std::atomic<Level> levels[] = {
#define COMPONENT(constant, name) Level::kInfo,
#include "proxy/base/log_components.inc"
#undef COMPONENT
};
void write(Component component, Level level, std::string_view text, Fields fields);
void write(Limit& limit, Component component, Level level, std::string_view text, Fields fields);
}  // namespace detail

inline bool enabled(Component component, Level level) noexcept {
  return level >= detail::levels[static_cast<size_t>(component)].load(std::memory_order_relaxed);
}

#define PILLION_LOG_FUNCTION(name, level)                                                          \
  inline void name(Component component, std::string_view text, Fields fields = {}) {               \
    if (enabled(component, level)) [[unlikely]] {                                                  \
      detail::write(component, level, text, fields);                                               \
    }                                                                                              \
  }                                                                                                \
  inline void name(Limit& limit, Component component, std::string_view text, Fields fields = {}) { \
    if (enabled(component, level)) [[unlikely]] {                                                  \
      detail::write(limit, component, level, text, fields);                                        \
    }                                                                                              \
  }
PILLION_LOG_FUNCTION(trace, Level::kTrace)
PILLION_LOG_FUNCTION(debug, Level::kDebug)
PILLION_LOG_FUNCTION(info, Level::kInfo)
PILLION_LOG_FUNCTION(warning, Level::kWarning)
PILLION_LOG_FUNCTION(error, Level::kError)
PILLION_LOG_FUNCTION(critical, Level::kCritical)
#undef PILLION_LOG_FUNCTION

// --- Levels: -l, --component-log-level, /logging; any thread
// --------------------------------------

std::string_view level_name(Level level) noexcept;
Result<Level> parse_level(std::string_view name);  // also "warn"
std::string_view component_name(Component component) noexcept;
void set_level(Level level) noexcept;  // of all components
void set_level(Component component, Level level) noexcept;
// As /logging?NAME=LEVEL; an empty name means all.
Status<> set_level(std::string_view component, std::string_view level);
// "upstream:debug,io:trace"; nothing changes if any part is wrong.  Loggers that only Envoy has are
// passed over.
Status<> set_levels(std::string_view list);
// What is wrong with such a list; changes nothing.
Status<> check_levels(std::string_view list);
// Name and level of each component, sorted by name.
std::vector<std::pair<std::string, std::string>> levels();
// The names, for "did you mean".
std::vector<std::string_view> component_names();

// --- Where lines go
// -------------------------------------------------------------------------------

// From now on lines go to `writer`, which must outlive detach().
void attach(LogWriter& writer);
// Writes what waits; lines are written at once again.  When other threads that log have ended.
void detach();
// Who writes lines now, for other files beside the log; null while none is attached.
LogWriter* writer() noexcept;
// Another descriptor than stderr (tests, --log-path); stays open.  Before attach().  `path` is
// where the writer's reopen() finds it; empty: nowhere.
void set_output(int fd, std::string path = {}) noexcept;
// --log-format: spdlog's pattern flags.  Before attach().
void set_pattern(std::string_view pattern);

}  // namespace pillion::log
