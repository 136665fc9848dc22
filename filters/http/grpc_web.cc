// envoy.filters.http.grpc_web: browsers call gRPC (gRPC's doc/PROTOCOL-WEB.md): binary or as text
// in base64, and the trailers of the response as a last frame of its body.
//
// Everything streams.  Text may be cut anywhere and be padded anywhere between its groups of four;
// each piece of a response is a text of its own, so that no byte of it waits for the next one. Only
// an answer that is none of gRPC waits: up to 16 KiB of it become grpc-message, and the rest is not
// asked for.
#include <algorithm>

#include "filters/http/body_text.h"
#include "proxy/base/base64.h"
#include "proxy/core/http_filter.h"
#include "proxy/http/grpc.h"
#include "proxy/http/grpc_messages.h"

namespace pillion::filters {
namespace {

using config::Node;
using core::FilterContext;
using core::FilterVerdict;
using http::HeaderId;

constexpr std::string_view kWeb = "application/grpc-web";
constexpr std::string_view kWebProto = "application/grpc-web+proto";
constexpr std::string_view kText = "application/grpc-web-text";
constexpr std::string_view kTextProto = "application/grpc-web-text+proto";

constexpr uint8_t kTrailersFrame = 0x80;
// Of an answer that is none of gRPC, as much as in Envoy.
constexpr uint64_t kLongestMessage = 16 * 1024;

// A piece of a body becomes no longer than that.
static_assert(base64_size(Slab::kCapacity) <= BodyText::kBlockBytes);

constexpr bool is_binary(std::string_view type) { return type == kWeb || type == kWebProto; }
constexpr bool is_text(std::string_view type) { return type == kText || type == kTextProto; }

class Filter;

class Factory final : public core::HttpFilterFactoryOf<Filter, Factory> {};

class Filter final : public core::HttpFilter {
 public:
  Filter(const Factory& /*factory*/, FilterContext& context) : context_(context) {}

  FilterVerdict on_request_head(http::RequestHead& head, bool end) override {
    const std::string_view type = head.headers.get(HeaderId::kContentType);
    is_web_ = is_binary(type) || is_text(type);
    if (!is_web_) return FilterVerdict::kContinue;
    reads_text_ = is_text(type);
    const http::Field* accept = head.headers.find("accept");
    writes_text_ = accept != nullptr && is_text(accept->value);
    if (!end) {
      head.framing = http::Framing::kChunked;  // HTTP/2 has no need of a length, and text another
      head.content_length = 0;
    }
    head.headers.set(HeaderId::kContentType, http::kGrpcContentType);
    head.te_trailers = true;
    if (head.headers.find("grpc-accept-encoding") == nullptr)
      head.headers.add("grpc-accept-encoding", "identity");
    return FilterVerdict::kContinue;
  }

  FilterVerdict on_request_body(std::string_view data, bool end) override {
    if (!reads_text_) return FilterVerdict::kContinue;
    char* out = request_text_.reserve(context_.arena(), Base64Reader::max_size(data.size()));
    const auto size = reader_.read(data, out);
    if (!size) return refuse("grpc_base_64_decode_failed");
    if (end && reader_.is_inside()) return refuse("grpc_base_64_decode_failed_bad_size");
    context_.replace_request_body({out, *size});
    return FilterVerdict::kContinue;
  }
  FilterVerdict on_request_trailers(http::Headers&) override {
    return reader_.is_inside() ? refuse("grpc_base_64_decode_failed_bad_size")
                               : FilterVerdict::kContinue;
  }

  FilterVerdict on_response_head(http::ResponseHead& head, bool end) override {
    if (!is_web_) return FilterVerdict::kContinue;
    const std::string_view type = head.headers.get(HeaderId::kContentType);
    // The application may speak it by itself.
    const bool is_answer = end ? head.headers.has(HeaderId::kGrpcStatus)
                               : head.status == 200 && (http::is_grpc(head.headers) ||
                                                        is_binary(type.substr(0, type.find(';'))));
    head.headers.set(HeaderId::kContentType, web_type());
    head.has_content_length = false;
    head.content_length = 0;
    if (end) {
      if (!is_answer && !head.headers.has(HeaderId::kGrpcStatus)) tell_status(head, {});
      return FilterVerdict::kContinue;
    }
    head.framing = http::Framing::kChunked;
    if (is_answer) return FilterVerdict::kContinue;
    // It goes on when there is more than that.
    return context_.buffer_response(std::min(kLongestMessage, context_.buffer_limit()) - 1);
  }
  // The answer is none of gRPC.
  FilterVerdict on_response_buffered(const core::BufferedResponse& response) override {
    std::string_view message;
    const size_t size = std::min<size_t>(response.body.size(), kLongestMessage);
    if (size != 0) {
      char* out = context_.arena().allocate_array<char>(size);
      message = {out, response.body.peek(out, size)};
    }
    tell_status(response.head, message);
    response.head.framing = http::Framing::kLength;
    response.head.has_content_length = true;
    context_.drop_response_body();
    return FilterVerdict::kContinue;
  }
  // What breaks off, or takes too long, while it waits here.
  void on_response_replaced(http::ResponseHead& head) override {
    if (is_web_) head.headers.set(HeaderId::kContentType, web_type());
  }
  FilterVerdict on_response_body(std::string_view data, bool /*end*/) override {
    if (writes_text_ && is_web_) {
      char* out = response_text_.reserve(context_.arena(), base64_size(data.size()));
      context_.replace_response_body(response_text_.until(write_base64(out, data)));
    }
    return FilterVerdict::kContinue;
  }
  FilterVerdict on_response_trailers(http::Headers& trailers) override {
    if (is_web_) context_.replace_response_trailers(frame_of(trailers));
    return FilterVerdict::kContinue;
  }

 private:
  FilterVerdict refuse(std::string_view details) {
    context_.local_reply(
        {.status = 400, .body = "Bad gRPC-web request, invalid base64 data.", .details = details});
    return FilterVerdict::kStop;
  }

  [[nodiscard]] std::string_view web_type() const { return writes_text_ ? kTextProto : kWebProto; }
  void tell_status(http::ResponseHead& head, std::string_view message) {
    Arena& arena = context_.arena();
    head.headers.set(HeaderId::kGrpcStatus, http::grpc_status_text(head.status));
    if (!message.empty())
      head.headers.set(HeaderId::kGrpcMessage, http::grpc_message_text(message, arena));
  }

  // "name:value" lines behind the prefix of a frame.
  std::string_view frame_of(const http::Headers& trailers) {
    size_t length = 0;
    trailers.for_each([&](const http::Field& f) { length += f.name.size() + f.value.size() + 3; });
    const size_t size = http::kGrpcPrefix + length;
    // As text it is written behind the bytes that it is made of.
    char* const frame =
        response_text_.reserve(context_.arena(), size + (writes_text_ ? base64_size(size) : 0));
    http::write_grpc_prefix(frame, kTrailersFrame, static_cast<uint32_t>(length));
    char* at = frame + http::kGrpcPrefix;
    trailers.for_each([&](const http::Field& f) {
      at = std::ranges::copy(f.name, at).out;
      *at++ = ':';
      at = std::ranges::copy(f.value, at).out;
      *at++ = '\r';
      *at++ = '\n';
    });
    if (!writes_text_) return response_text_.until(at);
    char* const end = write_base64(at, {frame, size});
    return {at, static_cast<size_t>(end - at)};
  }

  FilterContext& context_;
  BodyText request_text_, response_text_;
  Base64Reader reader_;
  bool is_web_ = false;
  bool reads_text_ = false;
  bool writes_text_ = false;
};

std::shared_ptr<const core::HttpFilterFactory> parse(const Node& node,
                                                     const core::FilterParseContext&) {
  node.reject_unknown_keys();  // it has none
  return std::make_shared<Factory>();
}

}  // namespace

extern const core::HttpFilterType kGrpcWeb;
const core::HttpFilterType kGrpcWeb{"envoy.extensions.filters.http.grpc_web.v3.GrpcWeb", {}, parse};

}  // namespace pillion::filters
