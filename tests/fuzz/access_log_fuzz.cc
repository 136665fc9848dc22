// Formats of access logs.  The input is a format, a NUL, and bytes that a peer sent: whatever the
// format is, it compiles or is refused with a reason, and rendering it gives one safe line; as
// JSON, a valid document.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "proxy/base/json.h"
#include "proxy/config/loader.h"
#include "proxy/config/node.h"
#include "proxy/telemetry/json_format.h"

using namespace pillion;

namespace {

// A stream in which every text is the peer's.
struct Stream {
  explicit Stream(std::string_view text) : request(arena), response(arena), trailers(arena) {
    request.method_text = request.path = request.authority = request.scheme = text;
    request.headers.add("content-type", "application/grpc");
    for (http::Headers* headers : {&request.headers, &response.headers, &trailers}) {
      headers->add("x", text);
      headers->add("grpc-status", text);
    }
    certificate.uri_sans = certificate.dns_sans = {std::string(text), std::string(text)};
    certificate.ip_sans = certificate.email_sans = {std::string(text)};
    certificate.subject = certificate.issuer = certificate.serial = text;
    certificate.chain = {text};
    identity = {text, text, text, text, text,         text,         text, text, text,
                text, text, text, text, &certificate, &certificate, true, true};
    chain = text;
    connection.filter_chain = &chain;
    info.downstream_transport_failure = text;
    connection.identity = info.upstream.identity = &identity;
    connection.remote = io::Address::ipv4(0x7f000001, 80);
    info.wall_begin = WallTime(Duration(1795528800'123456789));
    info.connection = &connection;
    info.request = &request;
    info.response = &response;
    info.response_trailers = &trailers;
    info.original_path = info.route_name = info.response_details = info.local_reply_body = text;
    info.termination_details = info.stream_id = info.upstream.cluster = info.upstream.host_name =
        text;
    info.upstream.transport_failure = text;
    info.flags = static_cast<uint32_t>(text.size());
    info.failure = {FailureKind::kConnectFailed};
  }
  Arena arena;
  http::RequestHead request;
  http::ResponseHead response;
  http::Headers trailers;
  io::PeerCertificate certificate;
  io::PeerIdentity identity;
  std::string chain;
  core::ConnectionInfo connection;
  core::StreamInfo info;
};

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

void check_text(std::string_view text, const core::StreamInfo& info, Escape escape) {
  const auto format = telemetry::Format::compile(text, {escape, false});
  if (!format) {
    if (format.error().empty()) std::abort();  // refused without a reason
    return;
  }
  std::string line;
  format->append(line, info);
  // The format's own text may have control characters; values never add any.
  size_t own = 0;
  for (const char c : text) own += is_control(c) ? 1 : 0;
  size_t seen = 0;
  for (const char c : line) seen += is_control(c) ? 1 : 0;
  if (seen > own) std::abort();
}

void check_json(std::string_view text, const core::StreamInfo& info) {
  config::TreeBuilder builder("fuzz");
  builder.begin_mapping();
  builder.key("alone").string(text);
  builder.key("mixed").string(std::string(text) + " and %PROTOCOL%");
  builder.key("list").begin_sequence();
  builder.string(text);
  builder.end();
  builder.end();
  const auto document = builder.finish();
  for (const bool omit : {false, true}) {
    config::Errors errors;
    const auto format = telemetry::JsonFormat::parse(document->root(errors), {omit, omit});
    if (!errors.ok()) return;
    std::string line;
    format.append(line, info);
    if (line.find('\n') != line.size() - 1 || !JsonDocument::parse(line)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return 0;  // longer ones teach nothing
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t nul = input.find('\0');
  const std::string_view format = input.substr(0, nul);
  const Stream stream(nul == std::string_view::npos ? std::string_view() : input.substr(nul + 1));
  check_text(format, stream.info, Escape::kLine);
  check_text(format, stream.info, Escape::kControls);
  check_json(format, stream.info);
  check_text(format, core::StreamInfo(), Escape::kLine);
  return 0;
}
