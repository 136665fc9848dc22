// envoy.filters.http.grpc_http1_bridge: clients of HTTP/1.1, which may know no trailers, make unary
// calls of gRPC: grpc-status and grpc-message of the response come in its head, whose status is 503
// unless the call ended with OK; so it does for failures of the proxy.  With
// upgrade_protobuf_to_grpc they need not even know gRPC's frames: the bodies of
// application/x-protobuf are the messages themselves.
//
// The request streams if its length is known; the response waits until its trailers are there.  As
// in Envoy, what waits is bounded by the listener's per_connection_buffer_limit_bytes.
#include <algorithm>

#include "filters/http/body_text.h"
#include "proxy/core/http_filter.h"
#include "proxy/http/grpc.h"
#include "proxy/http/grpc_messages.h"

namespace pillion::filters {
namespace {

using config::Node;
using core::FilterContext;
using core::FilterVerdict;
using http::HeaderId;

constexpr std::string_view kProtobuf = "application/x-protobuf";

class Filter;

class Factory final : public core::HttpFilterFactoryOf<Filter, Factory> {
 public:
  bool upgrades_protobuf = false;
  bool ignores_query = false;
};

class Filter final : public core::HttpFilter {
 public:
  Filter(const Factory& factory, FilterContext& context) : factory_(factory), context_(context) {}

  FilterVerdict on_request_head(http::RequestHead& head, bool end) override {
    if (head.protocol == http::Protocol::kHttp2) return FilterVerdict::kContinue;
    frames_ = factory_.upgrades_protobuf && head.headers.get(HeaderId::kContentType) == kProtobuf;
    bridges_ = frames_ || http::is_grpc(head.headers);
    if (!bridges_) return FilterVerdict::kContinue;
    head.te_trailers = true;
    if (factory_.ignores_query) head.path = head.path.substr(0, head.path.find('?'));
    if (!frames_) return FilterVerdict::kContinue;
    head.headers.set(HeaderId::kContentType, http::kGrpcContentType);
    context_.clear_route_cache();
    return add_prefix(head, end);
  }
  void on_request_buffered(http::RequestHead& head, uint64_t size) override {
    write_prefix(size);
    if (head.framing == http::Framing::kLength) head.content_length = size + http::kGrpcPrefix;
  }
  FilterVerdict on_request_body(std::string_view data, bool) override {
    if (!has_prefix_) return FilterVerdict::kContinue;
    has_prefix_ = false;
    char* const out = text_.reserve(context_.arena(), http::kGrpcPrefix + data.size());
    char* const at = std::ranges::copy(prefix_, out).out;
    context_.replace_request_body(text_.until(std::ranges::copy(data, at).out));
    return FilterVerdict::kContinue;
  }

  // Trailers can go on only behind the prefix of a message, and there is no body for it.
  FilterVerdict on_request_trailers(http::Headers&) override {
    if (!has_prefix_) return FilterVerdict::kContinue;
    has_prefix_ = false;
    context_.local_reply({.status = 400, .details = "grpc_bridge_no_message"});
    return FilterVerdict::kStop;
  }

  FilterVerdict on_response_head(http::ResponseHead& head, bool end) override {
    if (!bridges_) return FilterVerdict::kContinue;
    // Whoever answers otherwise than by gRPC answers for himself.
    is_answer_ = http::is_grpc(head.headers);
    if (end) {
      tell_all(head);
      return FilterVerdict::kContinue;
    }
    return is_answer_ ? context_.buffer_response(context_.buffer_limit())
                      : FilterVerdict::kContinue;
  }
  FilterVerdict on_response_buffered(const core::BufferedResponse& response) override {
    if (!response.is_complete) {
      context_.refuse_response();
      return FilterVerdict::kStop;
    }
    http::ResponseHead& head = response.head;
    const bool has_trailers = response.trailers != nullptr && http::grpc_status(*response.trailers);
    tell_status(head, has_trailers ? *response.trailers : head.headers);
    uint64_t length = response.body.size();
    if (frames_) {
      to_skip_ = static_cast<uint8_t>(std::min<uint64_t>(length, http::kGrpcPrefix));
      length -= to_skip_;
      head.headers.set(HeaderId::kContentType, kProtobuf);
    }
    head.framing = http::Framing::kLength;
    head.has_content_length = true;
    head.content_length = length;
    return FilterVerdict::kContinue;
  }
  void on_response_replaced(http::ResponseHead& head) override {
    if (bridges_) tell_all(head);
  }
  FilterVerdict on_response_body(std::string_view data, bool) override {
    if (to_skip_ == 0) return FilterVerdict::kContinue;
    const size_t n = std::min<size_t>(to_skip_, data.size());
    to_skip_ = static_cast<uint8_t>(to_skip_ - n);
    context_.replace_response_body(data.substr(n));
    return FilterVerdict::kContinue;
  }
  FilterVerdict on_response_trailers(http::Headers&) override {
    if (is_answer_) context_.replace_response_trailers({});  // a body with a length has none
    return FilterVerdict::kContinue;
  }

 private:
  // The message's length must be known before its first byte.
  FilterVerdict add_prefix(http::RequestHead& head, bool end) {
    if (end) {
      write_prefix(0);
      has_prefix_ = false;
      head.framing = http::Framing::kLength;
      head.content_length = http::kGrpcPrefix;
      context_.add_request_body({prefix_, sizeof prefix_});
      return FilterVerdict::kContinue;
    }
    if (head.framing != http::Framing::kLength)
      return context_.buffer_request(context_.buffer_limit());
    if (head.content_length > UINT32_MAX) {
      context_.local_reply({.status = 413, .details = "request_payload_too_large"});
      return FilterVerdict::kStop;
    }
    on_request_buffered(head, head.content_length);
    return FilterVerdict::kContinue;
  }
  void write_prefix(uint64_t size) {
    http::write_grpc_prefix(prefix_, 0, static_cast<uint32_t>(size));
    has_prefix_ = true;
  }

  // Of a response that is nothing but a head.
  void tell_all(http::ResponseHead& head) {
    if (!is_answer_ && !http::grpc_status(head.headers)) return;
    tell_status(head, head.headers);
    if (frames_) head.headers.set(HeaderId::kContentType, kProtobuf);
  }
  static void tell_status(http::ResponseHead& head, const http::Headers& from) {
    const auto status = http::grpc_status(from);
    if (!status) {  // what a client of gRPC makes of that
      head.headers.set(HeaderId::kGrpcStatus, http::grpc_status_text(head.status));
    }
    if (status != 0) {
      head.status = 503;
      head.reason = {};
    }
    if (&from == &head.headers) return;
    for (const HeaderId id : {HeaderId::kGrpcStatus, HeaderId::kGrpcMessage}) {
      if (const http::Field* field = from.find(id)) head.headers.set(id, field->value);
    }
  }

  const Factory& factory_;
  FilterContext& context_;
  BodyText text_;
  char prefix_[http::kGrpcPrefix];
  bool has_prefix_ = false;  // it goes in front of the next piece
  bool bridges_ = false;
  bool frames_ = false;     // the client does not know them
  bool is_answer_ = false;  // the response is one of gRPC
  uint8_t to_skip_ = 0;     // of the response's prefix
};

std::shared_ptr<const core::HttpFilterFactory> parse(const Node& node,
                                                     const core::FilterParseContext&) {
  auto factory = std::make_shared<Factory>();
  factory->upgrades_protobuf = node["upgrade_protobuf_to_grpc"].as_bool_or(false);
  factory->ignores_query = node["ignore_query_parameters"].as_bool_or(false);
  node.reject_unknown_keys();
  return factory;
}

}  // namespace

extern const core::HttpFilterType kGrpcHttp1Bridge;
const core::HttpFilterType kGrpcHttp1Bridge{
    "envoy.extensions.filters.http.grpc_http1_bridge.v3.Config", {}, parse};

}  // namespace pillion::filters
