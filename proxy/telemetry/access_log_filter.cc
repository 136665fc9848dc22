#include "proxy/telemetry/access_log_filter.h"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "proxy/base/response_flags.h"
#include "proxy/base/rng.h"
#include "proxy/base/str.h"
#include "proxy/config/runtime.h"
#include "proxy/config/suggest.h"
#include "proxy/match/header_value.h"
#include "proxy/telemetry/operators.h"

namespace pillion::telemetry {
namespace {

using config::EnumRow;
using config::Node;
using core::StreamInfo;
using FilterPtr = std::unique_ptr<const AccessLogFilter>;

// A filter made of a test; `Fn` is called for each stream.
template <typename Fn>
class Test final : public AccessLogFilter {
 public:
  explicit Test(Fn fn) : fn_(std::move(fn)) {}
  [[nodiscard]] bool matches(const StreamInfo& info) const override { return fn_(info); }

 private:
  Fn fn_;
};
template <typename Fn>
FilterPtr make(Fn fn) {
  return std::make_unique<const Test<Fn>>(std::move(fn));
}

// --- Comparisons
// ----------------------------------------------------------------------------------

enum class Op : uint8_t { kEqual, kGreaterOrEqual, kLessOrEqual, kNotEqual };
constexpr EnumRow kOps[] = {{"EQ", 0}, {"GE", 1}, {"LE", 2}, {"NE", 3}};

struct Comparison {
  Op op;
  uint32_t value;
  [[nodiscard]] bool holds(int64_t actual) const {
    switch (op) {
      case Op::kEqual:
        return actual == value;
      case Op::kGreaterOrEqual:
        return actual >= value;
      case Op::kLessOrEqual:
        return actual <= value;
      case Op::kNotEqual:
        return actual != value;
    }
    return false;
  }
};

Comparison parse_comparison(const Node& filter) {
  const Node node = filter.required("comparison");
  const Op op = node["op"].as_enum_or(Op::kEqual, kOps);
  const Node value = node["value"];
  const uint32_t number = value.as_runtime_u32_or(0);
  if (value.is_missing()) node.error("needs a value");
  node.reject_unknown_keys();
  filter.reject_unknown_keys();
  return {op, number};
}

FilterPtr status_code(const Node& node) {
  return make(
      [c = parse_comparison(node)](const StreamInfo& info) { return c.holds(info.response_code); });
}

FilterPtr duration(const Node& node) {
  return make([c = parse_comparison(node)](const StreamInfo& info) {
    const Instant begin = info.times.ds_rx_begin != Instant{} || info.connection == nullptr
                              ? info.times.ds_rx_begin
                              : info.connection->begin;
    return c.holds(to_millis(info.times.end - begin));
  });
}

// --- Single conditions
// ----------------------------------------------------------------------------

FilterPtr not_health_check(const Node& node) {
  node.reject_unknown_keys();
  return make([](const StreamInfo& info) { return !info.is_health_check; });
}

// Nothing is traced in this version.
FilterPtr traceable(const Node& node) {
  node.reject_unknown_keys();
  return make([](const StreamInfo&) { return false; });
}

FilterPtr runtime(const Node& node) {
  const Node key = node["runtime_key"];
  const config::Fraction share = config::runtime_fraction(
      key, key.as_view_or(), node["percent_sampled"].as_fraction_or({0, 100}));
  const bool independent = node["use_independent_randomness"].as_bool_or(false);
  node.reject_unknown_keys();
  return make([share, independent](const StreamInfo& info) {
    static thread_local Rng rng(reinterpret_cast<uintptr_t>(&info) ^
                                static_cast<uint64_t>(wall_now().time_since_epoch().count()));
    // By the request id, so that all sidecars of a call choose alike.
    const uint64_t random = independent || info.stream_id.empty()
                                ? rng.next()
                                : std::hash<std::string_view>()(info.stream_id);
    return random % share.denominator < share.numerator;
  });
}

FilterPtr header(const Node& node) {
  auto matcher = match::parse_header_matcher(node.required("header"));
  node.reject_unknown_keys();
  return make([matcher = std::move(matcher)](const StreamInfo& info) {
    return info.request != nullptr && matcher.matches(*info.request);
  });
}

FilterPtr response_flag(const Node& node) {
  uint32_t wanted = 0;
  for (const Node flag : node["flags"].items()) {
    const std::string name = flag.as_string();
    const uint32_t bit = find_flag_bit(name);
    if (bit == 0 && !name.empty()) {
      std::vector<std::string_view> names;
      for (const ResponseFlagRow& row : kResponseFlags) names.push_back(row.name);
      flag.unknown_name("response flag", names);
    }
    wanted |= bit;
  }
  node.reject_unknown_keys();
  return make([wanted](const StreamInfo& info) {
    const uint32_t bits = info.flags | flag_bit(info.failure);
    return wanted == 0 ? bits != 0 : (bits & wanted) != 0;
  });
}

constexpr std::string_view kLogTypes[] = {"NotSet",
                                          "TcpUpstreamConnected",
                                          "TcpPeriodic",
                                          "TcpConnectionEnd",
                                          "DownstreamStart",
                                          "DownstreamPeriodic",
                                          "DownstreamEnd",
                                          "UpstreamPoolReady",
                                          "UpstreamPeriodic",
                                          "UpstreamEnd",
                                          "DownstreamTunnelSuccessfullyEstablished",
                                          "UdpTunnelUpstreamConnected",
                                          "UdpPeriodic",
                                          "UdpSessionEnd",
                                          "TcpConnectionStart"};

FilterPtr log_type(const Node& node) {
  bool http = false;
  bool tcp = false;
  for (const Node type : node["types"].items()) {
    const std::string name = type.as_string();
    http = http || name == "DownstreamEnd" || name == "6";
    tcp = tcp || name == "TcpConnectionEnd" || name == "3";
    const bool is_number =
        !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
    const bool known =
        std::find(std::begin(kLogTypes), std::end(kLogTypes), name) != std::end(kLogTypes);
    if (!known && !is_number) type.unknown_name("access log type", kLogTypes);
  }
  const bool exclude = node["exclude"].as_bool_or(false);
  node.reject_unknown_keys();
  return make([http, tcp, exclude](const StreamInfo& info) {
    return (info.request != nullptr ? http : tcp) != exclude;
  });
}

constexpr EnumRow kGrpcStatus[] = {{"OK", 0},
                                   {"CANCELED", 1},
                                   {"UNKNOWN", 2},
                                   {"INVALID_ARGUMENT", 3},
                                   {"DEADLINE_EXCEEDED", 4},
                                   {"NOT_FOUND", 5},
                                   {"ALREADY_EXISTS", 6},
                                   {"PERMISSION_DENIED", 7},
                                   {"RESOURCE_EXHAUSTED", 8},
                                   {"FAILED_PRECONDITION", 9},
                                   {"ABORTED", 10},
                                   {"OUT_OF_RANGE", 11},
                                   {"UNIMPLEMENTED", 12},
                                   {"INTERNAL", 13},
                                   {"UNAVAILABLE", 14},
                                   {"DATA_LOSS", 15},
                                   {"UNAUTHENTICATED", 16}};

FilterPtr grpc_status(const Node& node) {
  uint32_t wanted = 0;
  for (const Node status : node["statuses"].items()) {
    wanted |= uint32_t{1} << (status.as_enum<uint32_t>(kGrpcStatus) & 31);
  }
  const bool exclude = node["exclude"].as_bool_or(false);
  node.reject_unknown_keys();
  auto operation = compile_operator("GRPC_STATUS_NUMBER", {}, {});
  return make([wanted, exclude, op = std::make_shared<const Operation>(std::move(*operation))](
                  const StreamInfo& info) {
    Scratch scratch;
    const Value value = op->evaluate(*op, info, scratch);
    // Without a status it is Unknown, as in Envoy.
    const int64_t code = value.kind() == Value::Kind::kNumber ? value.number() : 2;
    const bool listed = code >= 0 && code < 32 && (wanted >> code & 1) != 0;
    return listed != exclude;
  });
}

// --- Combinations
// ---------------------------------------------------------------------------------

template <bool kAll>
FilterPtr combination(const Node& node) {
  std::vector<FilterPtr> parts;
  for (const Node part : node.required("filters").items()) {
    if (FilterPtr filter = parse_access_log_filter(part)) parts.push_back(std::move(filter));
  }
  if (node["filters"].size() < 2) node.expected("at least two filters");
  node.reject_unknown_keys();
  return make([parts = std::move(parts)](const StreamInfo& info) {
    const auto test = [&info](const FilterPtr& part) { return part->matches(info); };
    return kAll ? std::all_of(parts.begin(), parts.end(), test)
                : std::any_of(parts.begin(), parts.end(), test);
  });
}

struct Row {
  std::string_view name;
  FilterPtr (*parse)(const Node&);
};
constexpr Row kRows[] = {
    {"status_code_filter", status_code},
    {"duration_filter", duration},
    {"not_health_check_filter", not_health_check},
    {"traceable_filter", traceable},
    {"runtime_filter", runtime},
    {"and_filter", combination<true>},
    {"or_filter", combination<false>},
    {"header_filter", header},
    {"response_flag_filter", response_flag},
    {"grpc_status_filter", grpc_status},
    {"log_type_filter", log_type},
};

}  // namespace

std::unique_ptr<const AccessLogFilter> parse_access_log_filter(const Node& node) {
  FilterPtr filter;
  for (const Row& row : kRows) {
    const Node part = node[row.name];
    // A filter without fields is written as `{}` or as nothing.
    if (part.is_missing() && !part.is_mapping()) continue;
    if (filter != nullptr)
      part.error("only one kind of filter can be given; combine them by and_filter or or_filter");
    filter = row.parse(part);
  }
  node.unsupported({"extension_filter", "metadata_filter"}, "not supported yet",
                   config::Unknown::kAlwaysError);
  if (filter == nullptr && !node.has("extension_filter") && !node.has("metadata_filter"))
    node.expected("a kind of filter");
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  return filter;
}

}  // namespace pillion::telemetry
