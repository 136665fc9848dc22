#pragma once
// The operators of access-log formats (%NAME(ARGUMENTS):MAXIMUM%), as Envoy's substitution
// formatter has them; shared/reference/envoy.md 3.4 lists them.
//
// An operator is a row: its name, whether it takes arguments, how they are compiled, and how its
// value is found in a StreamInfo.  Data that no part of this version can make (dynamic metadata)
// is absent, "-", as in Envoy.  Facts that exist but that nothing records
// yet (all attempted hosts, endpoint metadata) are refused by name: "-" would be a lie.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/core/stream_info.h"
#include "proxy/http/headers.h"
#include "proxy/telemetry/time_format.h"
#include "proxy/telemetry/value.h"

namespace pillion::telemetry {

struct Operation;
using Evaluate = Value (*)(const Operation&, const core::StreamInfo&, Scratch&);

// A header to look for; "" if there is none.
struct HeaderName {
  // Names with a colon, which stand for parts of the head that are no fields.
  enum class Pseudo : uint8_t { kNone, kMethod, kPath, kAuthority, kScheme, kStatus, kUnknown };
  std::string name;  // lower case
  http::HeaderId id = http::HeaderId::kUnknown;
  Pseudo pseudo = Pseudo::kNone;
};

// An operator with its arguments, compiled.
struct Operation {
  Evaluate evaluate = nullptr;
  std::optional<uint32_t> max_length;  // of its text, in bytes
  uint32_t mode = 0;                   // what the arguments chose; meaning by operator
  HeaderName header;
  HeaderName alternative;
  std::string text;
  std::vector<std::string> path;  // of DYNAMIC_METADATA; the namespace is `text`
  uint8_t from = 0;               // points in time, of COMMON_DURATION
  uint8_t to = 0;
  std::unique_ptr<const TimeFormat> time;
  std::vector<Operation> choices;  // of COALESCE
};

enum class Arguments : uint8_t { kNone, kOptional, kRequired };

struct OperatorRow {
  std::string_view name;
  Evaluate evaluate;
  Arguments arguments = Arguments::kNone;
  // Reads the text between the parentheses ("" if there are none).
  Status<> (*compile)(std::string_view arguments, Operation& operation) = nullptr;
};

// "REQ", "X-ENVOY-ORIGINAL-PATH?:PATH", 10.  Without parentheses `arguments` is none.
Result<Operation> compile_operator(std::string_view name, std::optional<std::string_view> arguments,
                                   std::optional<uint32_t> max_length);

// OperatorRow::compile of times in UTC: the arguments are a format (TimeFormat), or none.
Status<> compile_utc_time(std::string_view arguments, Operation& operation);

// The rows, by what they look at.
std::span<const OperatorRow> message_operators();     // heads, trailers, paths, gRPC
std::span<const OperatorRow> connection_operators();  // addresses, server names
std::span<const OperatorRow> tls_operators();         // certificates and what was agreed on
std::span<const OperatorRow> stream_operators();      // times, counts, names, flags

}  // namespace pillion::telemetry
