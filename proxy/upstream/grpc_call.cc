#include "proxy/upstream/grpc_call.h"

#include <utility>
#include <vector>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "proxy/http/grpc.h"

namespace pillion::upstream {
namespace {

constexpr size_t kMaxReason = 200;

// A value of grpc-message as it was meant; what is no escape stands for itself.
std::string percent_decoded(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const int byte = escaped_byte(text);
    out += byte < 0 ? text.front() : static_cast<char>(byte);
    text.remove_prefix(byte < 0 ? 1 : 3);
  }
  return out;
}

}  // namespace

std::string grpc_timeout_text(Duration timeout) {
  constexpr int64_t kMost = 99'999'999;
  const int64_t ms = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  if (ms <= kMost) return str(ms, 'm');
  const int64_t seconds = ms / 1000;
  return seconds <= kMost ? str(seconds, 'S') : str(kMost, 'S');
}

void GrpcCall::open(const GrpcMethod& method) {
  ++number_;
  frames_.reset();
  const std::string timeout = method.timeout > Duration{} ? grpc_timeout_text(method.timeout) : "";
  std::vector<CallField> fields = {{"content-type", http::kGrpcContentType}};
  if (!timeout.empty()) fields.push_back({"grpc-timeout", timeout});
  fields.insert(fields.end(), method.metadata.begin(), method.metadata.end());
  call_ = client_.open(method.cluster,
                       {.path = method.path,
                        .authority = method.authority,
                        .fields = fields,
                        .accepts_trailers = true,
                        .timeout = method.timeout},
                       *this);
}

void GrpcCall::send(std::initializer_list<std::string_view> parts, bool last) {
  size_t size = 0;
  for (const std::string_view part : parts) size += part.size();
  char prefix[http::kGrpcPrefix];
  http::write_grpc_prefix(prefix, 0, static_cast<uint32_t>(size));
  // Each may be the end of the call, and the observer open another.
  const uint64_t number = number_;
  const auto send_part = [&](std::string_view part) {
    if (call_ != nullptr && number == number_) call_->send(part, last && size == 0);
  };
  send_part({prefix, sizeof prefix});
  for (const std::string_view part : parts) {
    size -= part.size();
    if (!part.empty()) send_part(part);
  }
}

void GrpcCall::on_call_head(const http::ResponseHead& head, bool is_end) {
  if (head.headers.has(http::HeaderId::kGrpcStatus)) return on_call_trailers(head.headers);
  if (head.status != 200)
    return end(http::grpc_status_of_http(head.status), str("HTTP status ", head.status), false);
  if (is_end) return on_call_trailers(head.headers);
  const std::string_view type = head.headers.get(http::HeaderId::kContentType);
  if (!type.empty() && !http::is_grpc(head.headers))
    end(kGrpcUnknown, str("the answer is no gRPC: content-type ", config::printable(type)), false);
}

void GrpcCall::on_call_data(std::string_view data, bool is_end) {
  const uint64_t number = number_;
  const auto is_this = [&] { return call_ != nullptr && number == number_; };
  const char* wrong = frames_.feed(data, [&](std::string_view message) {
    observer_.on_grpc_message(message);
    return is_this();
  });
  if (!is_this()) return;
  if (wrong != nullptr) return end(kGrpcInternal, wrong, false);
  if (is_end) end(kGrpcUnknown, "no grpc-status", true);
}

void GrpcCall::on_call_trailers(const http::Headers& trailers) {
  const auto status = http::grpc_status(trailers);
  if (!status) return end(kGrpcUnknown, "no grpc-status", true);
  if (*status == kGrpcOk && frames_.is_inside())
    return end(kGrpcInternal, "the last message is cut off", false);
  std::string reason =
      str("grpc-status ", config::printable(trailers.get(http::HeaderId::kGrpcStatus)));
  if (const http::Field* message = trailers.find("grpc-message");
      message != nullptr && !message->value.empty()) {
    reason += str(": ", config::printable(percent_decoded(message->value), kMaxReason));
  }
  end(*status < 0 ? kGrpcUnknown : static_cast<uint32_t>(*status), reason, true);
}

void GrpcCall::on_call_failed(Failure failure, std::string_view reason) {
  const bool is_late = failure.kind == FailureKind::kRequestTimeoutUpstream;
  end(is_late ? kGrpcDeadlineExceeded : kGrpcUnavailable,
      reason.empty() ? failure.row().details : reason, false);
}

void GrpcCall::end(uint32_t status, std::string_view reason, bool is_from_server) {
  const std::string text(reason);  // it may lie in what close() frees
  close();
  observer_.on_grpc_end({status, text, is_from_server});
}

}  // namespace pillion::upstream
