#pragma once
// A worker between clients of gRPC, whatever they speak, and a server of HTTP/2, frame by frame.

#include <string>
#include <string_view>
#include <utility>

#include "proxy/base/base64.h"
#include "proxy/http/grpc_messages.h"
#include "proxy/http/h2_preface.h"
#include "tests/component/worker_fixture.h"
#include "tests/support/h2_frames.h"

namespace pillion::testing::grpc {

inline std::string message(std::string_view content, uint8_t flags = 0) {
  std::string out(http::kGrpcPrefix, '\0');
  http::write_grpc_prefix(out.data(), flags, static_cast<uint32_t>(content.size()));
  return out.append(content);
}
inline std::string base64(std::string_view bytes) {
  std::string out(base64_size(bytes.size()), '?');
  write_base64(out.data(), bytes);
  return out;
}
inline std::string chunk(std::string_view bytes) {
  char size[20];
  snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return str(size, bytes, "\r\n");
}

inline std::string filter(std::string_view name, std::string_view type) {
  return str("{ name: ", name, ", typed_config: { ", kExtension, "filters.http.", type, " } }, ");
}
inline const std::string kWeb = filter("web", "grpc_web.v3.GrpcWeb");
inline const std::string kBridge =
    filter("bridge", "grpc_http1_bridge.v3.Config, upgrade_protobuf_to_grpc: true");
inline const std::string kStats =
    filter("stats", "grpc_stats.v3.FilterConfig, stats_for_all_methods: true");

inline constexpr std::string_view kH2Cluster =
    "typed_extension_protocol_options: { envoy.extensions.upstreams.http.v3.HttpProtocolOptions: { "
    "'@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, "
    "explicit_http_config: { http2_protocol_options: {} } } }";

// One end of a connection of HTTP/2, frame by frame.
class Frames {
 public:
  explicit Frames(Peer peer) : peer_(std::move(peer)) {}
  void send(std::string_view frames) { peer_.send(frames); }
  // What came since the last call, in words.
  std::string told() {
    in_ += peer_.received();
    peer_.discard();
    if (in_.starts_with(http::kH2Preface)) in_.erase(0, http::kH2Preface.size());
    return describe_frames(in_);
  }

 private:
  Peer peer_;
  std::string in_;
};

inline std::string call_block() {
  return str(request_block("POST", "/a.B/C"), literal("content-type", "application/grpc"),
             literal("te", "trailers"));
}
inline std::string answer_block(std::string_view status = "200",
                                std::string_view type = "application/grpc") {
  return str(literal(":status", status), literal("content-type", type));
}
inline std::string status_block(std::string_view status) {
  return str(literal("grpc-status", status), literal("grpc-message", "so it is"));
}

class Grpc : public WorkerTest {
 protected:
  void begin(std::string filters, ListenerYaml yaml = {}) {
    set_cluster({backend.address}, kH2Cluster);
    yaml.filters = std::move(filters);
    listen(yaml);
  }
  Frames h2_client(std::string_view frames) {
    return Frames(request(str(http::kH2Preface, frame(4, 0, 0, ""), frames)));
  }
  Frames h2_server() {
    Peer peer = backend.accept();
    peer.send(frame(4, 0, 0, ""));
    return Frames(std::move(peer));
  }
  // Waits until this, and no more, has come.
  ::testing::AssertionResult hears(Frames& end, std::string_view expected) {
    std::string words;
    const bool came = run_until(loop, [&] {
      words += end.told();
      return words.size() >= expected.size();
    });
    if (came && words == expected) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "heard: " << words << " not: " << expected;
  }
  upstream::HostStats::Totals host() {
    return clusters.find("app")->hosts()[0]->info().stats->sum();
  }
  Backend backend{loop};
};

}  // namespace pillion::testing::grpc
