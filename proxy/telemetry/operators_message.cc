// Operators that look at heads, trailers and paths.
#include <algorithm>
#include <cstring>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/http/grpc.h"
#include "proxy/match/parameters.h"
#include "proxy/telemetry/operators.h"

namespace pillion::telemetry {
namespace {

using core::StreamInfo;
using http::HeaderId;
using Pseudo = HeaderName::Pseudo;

Value decimal(uint64_t number, Scratch& scratch) {
  const char* end = std::to_chars(scratch.bytes, scratch.bytes + Scratch::kBytes, number).ptr;
  return std::string_view(scratch.bytes, static_cast<size_t>(end - scratch.bytes));
}

// --- Headers
// --------------------------------------------------------------------------------------

Pseudo pseudo_of(std::string_view name) {
  if (name[0] != ':') return Pseudo::kNone;
  if (name == ":method") return Pseudo::kMethod;
  if (name == ":path") return Pseudo::kPath;
  if (name == ":authority") return Pseudo::kAuthority;
  if (name == ":scheme") return Pseudo::kScheme;
  return name == ":status" ? Pseudo::kStatus : Pseudo::kUnknown;
}

Status<> set_header(std::string_view name, HeaderName& header) {
  if (name.empty()) return Error{"expected a header name"};
  header.name = lowered(name);
  header.id = http::find_header_id(header.name);
  header.pseudo = pseudo_of(header.name);
  return Ok{};
}

// X or X?Y.
Status<> compile_header(std::string_view arguments, Operation& op) {
  const size_t mark = arguments.find('?');
  if (auto status = set_header(arguments.substr(0, mark), op.header); !status) return status;
  if (mark == std::string_view::npos) return Ok{};
  const std::string_view alternative = arguments.substr(mark + 1);
  if (alternative.find('?') != std::string_view::npos)
    return Error{"expected at most one alternative header, after \"?\""};
  return set_header(alternative, op.alternative);
}

Value find(const http::Headers& headers, const HeaderName& header) {
  const http::Field* field =
      header.id != HeaderId::kUnknown ? headers.find(header.id) : headers.find(header.name);
  return field == nullptr ? Value() : Value(field->value);
}

// What the codec takes out of the fields: RequestHead and ResponseHead say which.
template <typename Head>
Value framing_field(const Head& head, HeaderId id, Scratch& scratch) {
  switch (id) {
    case HeaderId::kContentLength:
      return head.framing == http::Framing::kLength ? decimal(head.content_length, scratch)
                                                    : Value();
    case HeaderId::kTransferEncoding:
      return head.framing == http::Framing::kChunked ? Value("chunked") : Value();
    case HeaderId::kUpgrade:
      return Value::text_or_none(head.upgrade);
    default:
      return {};
  }
}

Value request_header(const http::RequestHead& head, const HeaderName& header, Scratch& scratch) {
  switch (header.pseudo) {
    case Pseudo::kNone:
      break;
    case Pseudo::kMethod:
      return Value::text_or_none(head.method_text);
    case Pseudo::kPath:
      return Value::text_or_none(head.path);
    case Pseudo::kAuthority:
      return Value::text_or_none(head.authority);
    case Pseudo::kScheme:
      return Value::text_or_none(head.scheme);
    default:
      return {};
  }
  if (header.id == HeaderId::kHost) return Value::text_or_none(head.authority);
  const Value value = find(head.headers, header);
  return value.kind() == Value::Kind::kNone ? framing_field(head, header.id, scratch) : value;
}

Value response_header(const http::ResponseHead& head, const HeaderName& header, Scratch& scratch) {
  if (header.pseudo == Pseudo::kStatus)
    return head.status == 0 ? Value() : decimal(head.status, scratch);
  const Value value = find(head.headers, header);
  return value.kind() == Value::Kind::kNone ? framing_field(head, header.id, scratch) : value;
}

// The header, else its alternative.
template <typename Look>
Value first_of(const Operation& op, Look look) {
  const Value value = look(op.header);
  return value.kind() != Value::Kind::kNone || op.alternative.name.empty() ? value
                                                                           : look(op.alternative);
}

Value req(const Operation& op, const StreamInfo& info, Scratch& scratch) {
  if (info.request == nullptr) return {};
  return first_of(op,
                  [&](const HeaderName& h) { return request_header(*info.request, h, scratch); });
}

// A part of the head, or a field by its id, and nothing else: what most formats ask for.
template <std::string_view http::RequestHead::* kPart>
Value req_part(const Operation&, const StreamInfo& info, Scratch&) {
  return info.request == nullptr ? Value() : Value::text_or_none(info.request->*kPart);
}
Value req_field(const Operation& op, const StreamInfo& info, Scratch&) {
  if (info.request == nullptr) return {};
  const http::Field* field = info.request->headers.find(op.header.id);
  return field == nullptr ? Value() : Value(field->value);
}

Status<> compile_req(std::string_view arguments, Operation& op) {
  Status<> compiled = compile_header(arguments, op);
  if (!compiled || !op.alternative.name.empty()) return compiled;
  const HeaderId id = op.header.id;
  if (op.header.pseudo == Pseudo::kMethod) {
    op.evaluate = req_part<&http::RequestHead::method_text>;
  } else if (op.header.pseudo == Pseudo::kPath) {
    op.evaluate = req_part<&http::RequestHead::path>;
  } else if (op.header.pseudo == Pseudo::kAuthority || id == HeaderId::kHost) {
    op.evaluate = req_part<&http::RequestHead::authority>;
  } else if (id != HeaderId::kUnknown && id != HeaderId::kContentLength &&
             id != HeaderId::kTransferEncoding && id != HeaderId::kUpgrade) {
    op.evaluate = req_field;
  }
  return compiled;
}

Value resp(const Operation& op, const StreamInfo& info, Scratch& scratch) {
  if (info.response == nullptr) return {};
  return first_of(op,
                  [&](const HeaderName& h) { return response_header(*info.response, h, scratch); });
}

Value trailer(const Operation& op, const StreamInfo& info, Scratch&) {
  if (info.response_trailers == nullptr) return {};
  return first_of(op, [&](const HeaderName& h) { return find(*info.response_trailers, h); });
}

std::string_view without_query(std::string_view path) { return path.substr(0, path.find('?')); }

Value req_without_query(const Operation& op, const StreamInfo& info, Scratch& scratch) {
  const Value value = req(op, info, scratch);
  return value.kind() == Value::Kind::kText ? Value(without_query(value.text())) : value;
}

// --- Paths
// ----------------------------------------------------------------------------------------

enum PathMode : uint32_t { kOriginalOrPath = 0, kOriginal = 1, kPath = 2, kWithoutQuery = 4 };

// "", WQ, NQ, then after a colon ORIG, PATH or ORIG_OR_PATH.
Status<> compile_path(std::string_view arguments, Operation& op) {
  const size_t colon = std::min(arguments.find(':'), arguments.size());
  const std::string_view query = arguments.substr(0, colon);
  const std::string_view which = arguments.substr(std::min(colon + 1, arguments.size()));
  if (query == "NQ") {
    op.mode |= kWithoutQuery;
  } else if (!query.empty() && query != "WQ") {
    return Error{str("expected WQ (with query) or NQ (no query), got \"", query, "\"")};
  }
  if (which == "ORIG") {
    op.mode |= kOriginal;
  } else if (which == "PATH") {
    op.mode |= kPath;
  } else if (!which.empty() && which != "ORIG_OR_PATH") {
    return Error{str("expected ORIG, PATH or ORIG_OR_PATH, got \"", which, "\"")};
  }
  return Ok{};
}

// The path before rewrites, as x-envoy-original-path has it or the stream remembers.
std::string_view original_path(const StreamInfo& info) {
  const std::string_view header = info.request->headers.get(HeaderId::kXEnvoyOriginalPath);
  return header.empty() ? info.original_path : header;
}

Value path(const Operation& op, const StreamInfo& info, Scratch&) {
  if (info.request == nullptr) return {};
  std::string_view text = (op.mode & kPath) != 0 ? std::string_view() : original_path(info);
  if (text.empty() && (op.mode & kOriginal) == 0) text = info.request->path;
  return Value::text_or_none((op.mode & kWithoutQuery) != 0 ? without_query(text) : text);
}

std::string_view query_of(const StreamInfo& info) {
  const size_t mark = info.request->path.find('?');
  return mark == std::string_view::npos ? std::string_view() : info.request->path.substr(mark + 1);
}

// Percent-decoded; as it is when there is nothing to decode.
std::string_view decoded(std::string_view text, Scratch& scratch) {
  if (text.find('%') == std::string_view::npos) return text;
  size_t size = 0;
  for (size_t i = 0; i < text.size() && size < Scratch::kBytes; ++i) {
    const int byte = escaped_byte(text.substr(i));
    scratch.bytes[size++] = byte >= 0 ? static_cast<char>(byte) : text[i];
    i += byte >= 0 ? 2 : 0;
  }
  return {scratch.bytes, size};
}

Status<> keep_text(std::string_view arguments, Operation& op) {
  op.text = arguments;
  return Ok{};
}

Value query_parameter(const Operation& op, const StreamInfo& info, Scratch& scratch) {
  if (info.request == nullptr) return {};
  const auto value = match::find_query_parameter(query_of(info), op.text);
  return value ? Value(decoded(*value, scratch)) : Value();
}

Status<> compile_query(std::string_view arguments, Operation& op) {
  if (!arguments.empty() && arguments != "ORIG" && arguments != "DECODED") {
    return Error{str("expected ORIG or DECODED, got \"", arguments, "\"")};
  }
  op.mode = arguments == "DECODED" ? 1 : 0;
  return Ok{};
}

Value query(const Operation& op, const StreamInfo& info, Scratch& scratch) {
  if (info.request == nullptr) return {};
  const std::string_view text = query_of(info);
  return Value::text_or_none(op.mode == 1 ? decoded(text, scratch) : text);
}

// --- gRPC
// -----------------------------------------------------------------------------------------

struct GrpcCode {
  std::string_view camel;
  std::string_view snake;
};
constexpr GrpcCode kGrpcCodes[] = {
    {"OK", "OK"},
    {"Canceled", "CANCELLED"},
    {"Unknown", "UNKNOWN"},
    {"InvalidArgument", "INVALID_ARGUMENT"},
    {"DeadlineExceeded", "DEADLINE_EXCEEDED"},
    {"NotFound", "NOT_FOUND"},
    {"AlreadyExists", "ALREADY_EXISTS"},
    {"PermissionDenied", "PERMISSION_DENIED"},
    {"ResourceExhausted", "RESOURCE_EXHAUSTED"},
    {"FailedPrecondition", "FAILED_PRECONDITION"},
    {"Aborted", "ABORTED"},
    {"OutOfRange", "OUT_OF_RANGE"},
    {"Unimplemented", "UNIMPLEMENTED"},
    {"Internal", "INTERNAL"},
    {"Unavailable", "UNAVAILABLE"},
    {"DataLoss", "DATA_LOSS"},
    {"Unauthenticated", "UNAUTHENTICATED"},
};
enum GrpcForm : uint32_t { kCamel, kSnake, kNumber };

Status<> compile_grpc(std::string_view arguments, Operation& op) {
  if (arguments.empty() || arguments == "CAMEL_STRING") {
    op.mode = kCamel;
  } else if (arguments == "SNAKE_STRING") {
    op.mode = kSnake;
  } else if (arguments == "NUMBER") {
    op.mode = kNumber;
  } else {
    return Error{str("expected CAMEL_STRING, SNAKE_STRING or NUMBER, got \"", arguments, "\"")};
  }
  return Ok{};
}

std::optional<int64_t> grpc_code(const StreamInfo& info) {
  if (info.request == nullptr || info.response == nullptr || !http::is_grpc(info.request->headers))
    return {};
  const auto status = http::grpc_status(info.response->headers, info.response_trailers);
  return status ? *status : int64_t{http::grpc_status_of_http(info.response_code)};
}

Value grpc_status(const Operation& op, const StreamInfo& info, Scratch& scratch) {
  const std::optional<int64_t> code = grpc_code(info);
  if (!code) return {};
  if (op.mode == kNumber) return Value::number_of(*code);
  if (*code < 0) return "-1";  // what is no number, as Envoy shows it
  if (*code >= static_cast<int64_t>(std::size(kGrpcCodes)))
    return decimal(static_cast<uint64_t>(*code), scratch);
  const GrpcCode& names = kGrpcCodes[static_cast<size_t>(*code)];
  return op.mode == kCamel ? names.camel : names.snake;
}

Value grpc_number(const Operation&, const StreamInfo& info, Scratch&) {
  const std::optional<int64_t> code = grpc_code(info);
  return code ? Value::number_of(*code) : Value();
}

constexpr OperatorRow kRows[] = {
    {"REQ", req, Arguments::kRequired, compile_req},
    {"REQUEST_HEADER", req, Arguments::kRequired, compile_req},
    {"RESP", resp, Arguments::kRequired, compile_header},
    {"RESPONSE_HEADER", resp, Arguments::kRequired, compile_header},
    {"TRAILER", trailer, Arguments::kRequired, compile_header},
    {"RESPONSE_TRAILER", trailer, Arguments::kRequired, compile_header},
    {"REQ_WITHOUT_QUERY", req_without_query, Arguments::kRequired, compile_header},
    {"PATH", path, Arguments::kOptional, compile_path},
    {"QUERY_PARAM", query_parameter, Arguments::kRequired, keep_text},
    {"QUERY_PARAMS", query, Arguments::kOptional, compile_query},
    {"GRPC_STATUS", grpc_status, Arguments::kOptional, compile_grpc},
    {"GRPC_STATUS_NUMBER", grpc_number},
};

}  // namespace

std::span<const OperatorRow> message_operators() { return kRows; }

}  // namespace pillion::telemetry
