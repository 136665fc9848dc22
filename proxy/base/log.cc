// Only this file knows spdlog; header-only, so that the process loads neither its library nor
// fmt's.
#undef SPDLOG_COMPILED_LIB
#undef SPDLOG_SHARED_LIB
#undef FMT_SHARED
#define SPDLOG_HEADER_ONLY
#define FMT_HEADER_ONLY
#include "proxy/base/log.h"

#include <fcntl.h>
#include <spdlog/pattern_formatter.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <mutex>

#include "proxy/base/log_text.h"
#include "proxy/base/log_writer.h"
#include "proxy/base/str.h"

namespace pillion::log {
namespace {

constexpr auto kComponentNames = std::to_array<std::string_view>({
#define COMPONENT(constant, name) name,
#include "proxy/base/log_components.inc"
#undef COMPONENT
});
// Loggers of Envoy that have no lines here.  Command lines may name them (Istio's does:
// misc:error), without effect; /logging neither shows nor takes them.
constexpr std::string_view kSilent =
    " aws cache_filter client connection dubbo dynamic_modules ext_authz ext_proc filter golang "
    "grpc happy_eyeballs hc health_checker http http2 init jwt kafka lua matcher misc mongo oauth2 "
    "quic quic_stream rate_limit_quota rbac redis router runtime secret stats stats_sinks tap "
    "thrift udp wasm websocket ";
constexpr auto kLevelNames = std::to_array<std::string_view>(
    {"trace", "debug", "info", "warning", "error", "critical", "off"});
constexpr std::string_view kPattern = "[%Y-%m-%d %T.%e][%t][%l][%n] %v";

// What travels to the writer thread; the text follows.
struct Record {
  int64_t time_ns;
  uint64_t thread;
  Component component;
  Level level;
};

using Formatter = std::unique_ptr<spdlog::pattern_formatter>;

// Formatting and writing on the spot, while no writer thread is attached.
struct Direct {
  std::mutex mutex;  // guards all of it
  int fd = STDERR_FILENO;
  std::string path;
  std::string pattern{kPattern};
  Formatter formatter;
};
Direct& direct() {
  static auto* const direct = new Direct;  // never destroyed: destructors of statics may log
  return *direct;
}

// Changed by attach() and detach() only.
std::atomic<LogFile*> stream{nullptr};
std::shared_ptr<LogFile> stream_owner;
LogWriter* stream_writer = nullptr;
Formatter stream_formatter;  // of the writer thread: a pattern_formatter keeps state

Formatter make_formatter(const std::string& pattern) {
  return std::make_unique<spdlog::pattern_formatter>(pattern);
}

void render(spdlog::pattern_formatter& formatter, std::string_view bytes, std::string& out) {
  Record record;
  std::memcpy(&record, bytes.data(), sizeof record);
  const std::string_view text = bytes.substr(sizeof record);
  const std::string_view name = component_name(record.component);
  const auto time = std::chrono::time_point_cast<spdlog::log_clock::duration>(
      std::chrono::time_point<spdlog::log_clock, Duration>(Duration(record.time_ns)));
  spdlog::details::log_msg message(time, {}, {name.data(), name.size()},
                                   static_cast<spdlog::level::level_enum>(record.level),
                                   {text.data(), text.size()});
  message.thread_id = record.thread;
  spdlog::memory_buf_t line;
  formatter.format(message, line);
  out.append(line.data(), line.size());
}

void write_direct(std::string_view record) {
  Direct& to = direct();
  const std::lock_guard lock(to.mutex);
  if (to.formatter == nullptr) to.formatter = make_formatter(to.pattern);
  std::string line;
  render(*to.formatter, record, line);
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t n = ::write(to.fd, rest.data(), rest.size());
    if (n <= 0) return;
    rest.remove_prefix(static_cast<size_t>(n));
  }
}

uint64_t thread_id() {
  thread_local const auto id = static_cast<uint64_t>(::gettid());
  return id;
}

// Would the value be read as one word?
bool needs_quotes(std::string_view text) {
  return text.empty() || text.find_first_of(" \"=,") != std::string_view::npos;
}

void append_text(std::string& out, std::string_view text) {
  if (!needs_quotes(text)) return append_escaped(out, text);
  out += '"';
  for (size_t at = 0; at < text.size();) {
    const size_t quote = std::min(text.find_first_of("\"\\", at), text.size());
    append_escaped(out, text.substr(at, quote - at));
    if (quote < text.size()) {
      out += '\\';
      out += text[quote];
    }
    at = quote + 1;
  }
  out += '"';
}

void append_duration(std::string& out, int64_t ns) {
  struct Unit {
    int64_t ns;
    std::string_view name;
  };
  for (const Unit unit : {Unit{1'000'000'000, "s"}, Unit{1'000'000, "ms"}, Unit{1'000, "us"}}) {
    if (ns % unit.ns != 0 && ns / unit.ns < 10) continue;
    pillion::append_to(out, ns / unit.ns);
    out += unit.name;
    return;
  }
  pillion::append_to(out, ns);
  out += "ns";
}

void write_line(Component component, Level level, std::string_view text, Fields fields,
                uint64_t suppressed) {
  thread_local std::string line;
  const Record record{wall_now().time_since_epoch().count(), thread_id(), component, level};
  line.assign(reinterpret_cast<const char*>(&record), sizeof record);
  append_escaped(line, text);
  if (fields.size() != 0 || suppressed != 0) line += ':';
  for (const Field& field : fields) field.append_to(line);
  if (suppressed != 0) Field("suppressed", suppressed).append_to(line);
  if (LogFile* file = stream.load(std::memory_order_acquire)) {
    file->append(line);
  } else {
    write_direct(line);
  }
}

}  // namespace

void Field::append_to(std::string& out) const {
  out += ' ';
  out += key_;
  out += '=';
  switch (kind_) {
    case Kind::kText:
      return append_text(out, text_);
    case Kind::kSigned:
      return pillion::append_to(out, signed_);
    case Kind::kUnsigned:
      return pillion::append_to(out, unsigned_);
    case Kind::kDouble:
      return pillion::append_to(out, double_);
    case Kind::kDuration:
      return append_duration(out, signed_);
    case Kind::kObject:
      return append_text(out, object_.to_string(object_.object));
  }
}

bool Limit::admit(Instant now, uint64_t& suppressed) noexcept {
  const int64_t at = now.time_since_epoch().count();
  int64_t next = next_.load(std::memory_order_relaxed);
  if (at < next ||
      !next_.compare_exchange_strong(next, at + interval_.count(), std::memory_order_relaxed)) {
    suppressed_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  suppressed = suppressed_.exchange(0, std::memory_order_relaxed);
  return true;
}

namespace detail {

void write(Component component, Level level, std::string_view text, Fields fields) {
  write_line(component, level, text, fields, 0);
}

void write(Limit& limit, Component component, Level level, std::string_view text, Fields fields) {
  uint64_t suppressed = 0;
  if (limit.admit(MonotonicClock::now(), suppressed))
    write_line(component, level, text, fields, suppressed);
}

}  // namespace detail

std::string_view level_name(Level level) noexcept {
  return kLevelNames[static_cast<size_t>(level)];
}

Result<Level> parse_level(std::string_view name) {
  for (size_t i = 0; i < kLevelNames.size(); ++i) {
    if (kLevelNames[i] == name) return static_cast<Level>(i);
  }
  if (name == "warn") return Level::kWarning;
  return Error{str("expected a log level (trace debug info warning error critical off), got \"",
                   name, "\"")};
}

std::string_view component_name(Component component) noexcept {
  return kComponentNames[static_cast<size_t>(component)];
}

void set_level(Level level) noexcept {
  for (auto& each : detail::levels) each.store(level, std::memory_order_relaxed);
}

void set_level(Component component, Level level) noexcept {
  detail::levels[static_cast<size_t>(component)].store(level, std::memory_order_relaxed);
}

namespace {

Result<Component> parse_component(std::string_view name) {
  for (size_t i = 0; i < kComponentNames.size(); ++i) {
    if (kComponentNames[i] == name) return static_cast<Component>(i);
  }
  std::string text = str("unknown log component \"", name, "\"; there are");
  for (std::string_view known : kComponentNames) text += str(" ", known);
  return Error{text};
}

using LevelChanges = std::vector<std::pair<Component, Level>>;

Result<LevelChanges> parse_levels(std::string_view list) {
  LevelChanges changes;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string_view part = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    const size_t colon = part.find(':');
    if (colon == std::string_view::npos) {
      return Error{str("expected COMPONENT:LEVEL, got \"", part, "\"")};
    }
    const auto level = parse_level(part.substr(colon + 1));
    if (!level) return Error{level.error()};
    if (kSilent.find(str(" ", part.substr(0, colon), " ")) != std::string_view::npos) continue;
    const auto component = parse_component(part.substr(0, colon));
    if (!component) return Error{component.error()};
    changes.emplace_back(*component, *level);
  }
  return changes;
}

}  // namespace

Status<> set_level(std::string_view component, std::string_view level) {
  const auto parsed = parse_level(level);
  if (!parsed) return Error{parsed.error()};
  if (component.empty()) return set_level(*parsed), Ok{};
  const auto which = parse_component(component);
  if (!which) return Error{which.error()};
  set_level(*which, *parsed);
  return Ok{};
}

Status<> set_levels(std::string_view list) {
  const auto changes = parse_levels(list);
  if (!changes) return Error{changes.error()};
  for (const auto& [component, level] : *changes) set_level(component, level);
  return Ok{};
}

Status<> check_levels(std::string_view list) {
  const auto changes = parse_levels(list);
  return changes ? Status<>(Ok{}) : Error{changes.error()};
}

std::vector<std::pair<std::string, std::string>> levels() {
  std::vector<std::pair<std::string, std::string>> all;
  for (size_t i = 0; i < kComponentNames.size(); ++i) {
    all.emplace_back(kComponentNames[i],
                     level_name(detail::levels[i].load(std::memory_order_relaxed)));
  }
  return all;
}

std::vector<std::string_view> component_names() {
  return {kComponentNames.begin(), kComponentNames.end()};
}

void attach(LogWriter& writer) {
  Direct& before = direct();
  const std::lock_guard lock(before.mutex);
  stream_formatter = make_formatter(before.pattern);
  stream_writer = &writer;
  const auto render_stream = [](std::string_view record, std::string& out) {
    render(*stream_formatter, record, out);
  };
  stream_owner = writer.open_stream(before.fd, render_stream, before.path);
  stream.store(stream_owner.get(), std::memory_order_release);
}

LogWriter* writer() noexcept {
  return stream.load(std::memory_order_acquire) == nullptr ? nullptr : stream_writer;
}

void detach() {
  if (stream.exchange(nullptr, std::memory_order_acq_rel) == nullptr) return;
  stream_owner.reset();
  stream_writer->flush();
  Direct& after = direct();
  const std::lock_guard lock(after.mutex);
  if (after.path.empty()) return;
  // The writer may have opened the file anew.
  if (const Result<int> fd = LogOutput::open_path(after.path)) {
    ::dup3(*fd, after.fd, O_CLOEXEC);
    ::close(*fd);
  }
}

void set_output(int fd, std::string path) noexcept {
  const std::lock_guard lock(direct().mutex);
  direct().fd = fd;
  direct().path = std::move(path);
}

void set_pattern(std::string_view pattern) {
  const std::lock_guard lock(direct().mutex);
  direct().pattern = pattern;
  direct().formatter = nullptr;
}

}  // namespace pillion::log
