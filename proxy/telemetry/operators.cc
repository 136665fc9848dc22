#include "proxy/telemetry/operators.h"

#include <algorithm>

#include "proxy/base/json.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"

namespace pillion::telemetry {
namespace {

// Operators of Envoy whose data nothing in this version can make.
constexpr std::string_view kAlwaysAbsent[] = {
    "CUSTOM_FLAGS",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_REMOTE_ADDRESS_ENDPOINT_ID",
    "ROUNDTRIP_DURATION",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "UPSTREAM_FILTER_STATE",
    "VIRTUAL_CLUSTER_NAME",
};

// Operators of Envoy whose data exists and is not recorded yet.
constexpr std::string_view kNotYet[] = {
    "CEL",
    "CLUSTER_METADATA",
    "DOWNSTREAM_DETECTED_CLOSE_TYPE",
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "DOWNSTREAM_LOCAL_CLOSE_REASON",
    "DOWNSTREAM_LOCAL_OTHERNAME_SAN",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256",
    "DOWNSTREAM_PEER_CHAIN_SERIALS",
    "DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_OTHERNAME_SAN",
    "FILE_CONTENT",
    "METADATA",
    "TYPED_CEL",
    "UPSTREAM_CONNECTION_IDS_ATTEMPTED",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "UPSTREAM_DETECTED_CLOSE_TYPE",
    "UPSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
    "UPSTREAM_HOSTS_ATTEMPTED",
    "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT",
    "UPSTREAM_HOST_NAMES_ATTEMPTED",
    "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT",
    "UPSTREAM_LOCAL_CLOSE_REASON",
    "UPSTREAM_METADATA",
};

Value absent(const Operation&, const core::StreamInfo&, Scratch&) { return {}; }

Value coalesce(const Operation& op, const core::StreamInfo& info, Scratch& scratch) {
  for (const Operation& choice : op.choices) {
    const Value value = choice.evaluate(choice, info, scratch);
    if (value.kind() == Value::Kind::kNone) continue;
    if (value.kind() == Value::Kind::kNumber || !choice.max_length) return value;
    return value.text().substr(0, *choice.max_length);
  }
  return {};
}

// {"operators": ["REQUESTED_SERVER_NAME", {"operator": "REQ", "param": ":AUTHORITY", "max_length":
// 9}]}
Status<> compile_coalesce(std::string_view arguments, Operation& op) {
  const auto document = JsonDocument::parse(arguments, 8);
  if (!document) return Error{str("COALESCE: expected JSON, ", document.error())};
  const std::vector<Json> choices = document->root()["operators"].items();
  if (choices.empty()) return Error{"COALESCE: expected {\"operators\": [...]} with at least one"};
  for (const Json& choice : choices) {
    const Json name = choice.is_object() ? choice["operator"] : choice;
    if (name.kind() != Json::Kind::kString)
      return Error{"COALESCE: an operator is a name or {\"operator\": NAME}"};
    if (name.as_string() == "COALESCE") return Error{"COALESCE: cannot contain itself"};
    std::optional<std::string_view> parameter;
    if (!choice["param"].is_missing()) parameter = choice["param"].as_string();
    std::optional<uint32_t> max_length;
    if (const auto n = choice["max_length"].as_int())
      max_length = static_cast<uint32_t>(std::clamp<int64_t>(*n, 0, UINT32_MAX));
    Result<Operation> compiled = compile_operator(name.as_string(), parameter, max_length);
    if (!compiled) return Error{compiled.error()};
    op.choices.push_back(std::move(*compiled));
  }
  return Ok{};
}

constexpr OperatorRow kCoalesce[] = {
    {"COALESCE", coalesce, Arguments::kRequired, compile_coalesce}};

constexpr size_t kGroups = 5;
std::span<const OperatorRow> group(size_t i) {
  switch (i) {
    case 0:
      return message_operators();
    case 1:
      return connection_operators();
    case 2:
      return stream_operators();
    case 3:
      return tls_operators();
    default:
      return kCoalesce;
  }
}

bool contains(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

const OperatorRow* find_row(std::string_view name) {
  for (size_t i = 0; i < kGroups; ++i) {
    for (const OperatorRow& row : group(i)) {
      if (row.name == name) return &row;
    }
  }
  static constexpr OperatorRow kAbsentRow{"", absent, Arguments::kOptional};
  return contains(kAlwaysAbsent, name) ? &kAbsentRow : nullptr;
}

std::string unknown(std::string_view name) {
  if (contains(kNotYet, name)) return str("operator %", name, "% is not supported yet");
  std::vector<std::string_view> names(std::begin(kAlwaysAbsent), std::end(kAlwaysAbsent));
  for (size_t i = 0; i < kGroups; ++i) {
    for (const OperatorRow& row : group(i)) names.push_back(row.name);
  }
  return str("unknown operator %", config::printable(name), "%", config::did_you_mean(name, names));
}

}  // namespace

Result<Operation> compile_operator(std::string_view name, std::optional<std::string_view> arguments,
                                   std::optional<uint32_t> max_length) {
  const OperatorRow* row = find_row(name);
  if (row == nullptr) return Error{unknown(name)};
  if (row->arguments == Arguments::kNone && arguments) {
    return Error{str("operator %", name, "% takes no arguments, got \"",
                     config::printable(*arguments), "\"")};
  }
  if (row->arguments == Arguments::kRequired && (!arguments || arguments->empty())) {
    return Error{str("operator %", name, "% needs an argument: %", name, "(...)%")};
  }
  Operation op;
  op.evaluate = row->evaluate;
  op.max_length = max_length;
  if (row->compile != nullptr) {
    const Status<> status = row->compile(arguments.value_or(""), op);
    if (!status) return Error{str("operator %", name, "%: ", status.error())};
  }
  return op;
}

}  // namespace pillion::telemetry
