// Which HTTP a cluster speaks, and its options of HTTP/2.
#include "tests/unit/upstream/fixture.h"

namespace pillion::upstream {
namespace {

constexpr std::string_view kTls =
    "transport_socket: { name: t, typed_config: { \"@type\": "
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, "
    "common_tls_context: {} } }";

std::string with_options(std::string_view options, std::string_view more = {}) {
  return str("name: c\n", more,
             "\ntyped_extension_protocol_options:\n"
             "  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n"
             "    \"@type\": "
             "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n    ",
             options, "\n");
}

TEST(ParseHttp2, TakesTheProtocolFromEitherPlace) {
  struct Row {
    std::string yaml;
    UpstreamProtocol protocol;
  };
  const Row rows[] = {
      {"name: c", UpstreamProtocol::kHttp1},
      {"{ name: c, http2_protocol_options: {} }", UpstreamProtocol::kHttp2},
      {with_options("explicit_http_config: { http_protocol_options: {} }"),
       UpstreamProtocol::kHttp1},
      {with_options("explicit_http_config: { http2_protocol_options: {} }"),
       UpstreamProtocol::kHttp2},
      {with_options("use_downstream_protocol_config: {}"), UpstreamProtocol::kDownstream},
      {with_options("auto_config: {}", kTls), UpstreamProtocol::kAuto},
  };
  for (const Row& row : rows)
    EXPECT_EQ(cluster_of(row.yaml)->pool->protocol, row.protocol) << row.yaml;
}

TEST(ParseHttp2, ReadsTheOptions) {
  const auto c = cluster_of(R"(
name: c
http2_protocol_options:
  hpack_table_size: 0
  max_concurrent_streams: 7
  allow_connect: true
  initial_stream_window_size: 65535
  initial_connection_window_size: 2147483647
  max_outbound_control_frames: 3
  max_consecutive_inbound_frames_with_empty_payload: 4
  max_inbound_priority_frames_per_stream: 5
  max_inbound_window_update_frames_per_data_frame_sent: 6
  stream_reset_burst: 8
  stream_reset_rate: 99999999999
  max_header_field_size_kb: 64
  enable_huffman_encoding: true
  disallow_obs_text: true
  connection_keepalive:
    { interval: 30s, timeout: 5s, interval_jitter: { value: 20 }, connection_idle_interval: 7s }
common_http_protocol_options: { max_response_headers_kb: 100 }
)");
  const http::H2Options& h2 = c->pool->h2;
  EXPECT_EQ(h2.hpack_table_size, 0u);
  EXPECT_EQ(h2.max_concurrent_streams, 7u);
  EXPECT_TRUE(h2.allow_connect);
  EXPECT_EQ(h2.stream_window, 65535u);
  EXPECT_EQ(h2.connection_window, 2147483647u);
  EXPECT_EQ(h2.max_outbound_control_frames, 3u);
  EXPECT_EQ(h2.max_empty_frames, 4u);
  EXPECT_EQ(h2.max_priority_frames_per_stream, 5u);
  EXPECT_EQ(h2.max_window_updates_per_data_frame, 6u);
  EXPECT_EQ(h2.stream_reset_burst, 8u);
  EXPECT_EQ(h2.stream_reset_rate, UINT32_MAX);
  EXPECT_EQ(h2.max_head_bytes, 100u * 1024);
  EXPECT_TRUE(c->pool->head_limits.disallow_obs_text);
  EXPECT_EQ(h2.ping_after_idle, std::chrono::seconds(7));
  EXPECT_EQ(h2.ping_interval, std::chrono::seconds(30));
  EXPECT_EQ(h2.ping_timeout, std::chrono::seconds(5));
  EXPECT_EQ(h2.ping_jitter_percent, 20u);
}

TEST(ParseHttp2, RefusesWhatItCannotDoByName) {
  struct Row {
    const char* option;
    const char* message;
  };
  const Row rows[] = {
      {"max_header_field_size_kb: 65", "max_header_field_size_kb: fields of up to 64 KiB"},
      {"max_header_field_size_kb: 63", "max_header_field_size_kb: expected 64-256"},
      {"enable_huffman_encoding: false", "enable_huffman_encoding: fields are always compressed"},
      {"custom_settings_parameters: [ { identifier: 9, value: 1 } ]",
       "custom_settings_parameters: "},
      {"stream_reset_burst: 0", "stream_reset_burst: expected"},
      {"connection_keepalive: { timeout: 1s, connection_idle_interval: 0.0001s }",
       "connection_idle_interval: expected at least 1ms"},
  };
  for (const Row& row : rows) {
    const std::string messages =
        messages_of(str("{ name: c, http2_protocol_options: { ", row.option, " } }"));
    EXPECT_NE(messages.find(row.message), std::string::npos) << row.option << "\n" << messages;
  }
}

TEST(ParseHttp2, WantsTlsForAChoiceByAlpn) {
  EXPECT_NE(messages_of(with_options("auto_config: {}")).find("auto_config needs"),
            std::string::npos);
}

TEST(ParseHttp2, KeepsConnectionsUnlessTheirProtocolChanges) {
  const auto hash = [](std::string_view yaml) { return cluster_of(yaml)->connection_hash; };
  const uint64_t http1 = hash("name: c");
  const uint64_t http2 = hash("{ name: c, http2_protocol_options: {} }");
  EXPECT_NE(http1, http2);
  EXPECT_EQ(http2, hash("{ name: c, http2_protocol_options: { max_concurrent_streams: 9 } }"));
  EXPECT_NE(http2,
            hash("{ name: c, http2_protocol_options: { initial_stream_window_size: 70000 } }"));
}

TEST(ParseHttp2, GivesUpgradesAndTheClientsProtocolAPoolOfTheirOwn) {
  Arena arena;
  http::RequestHead h1(arena);
  http::RequestHead h2(arena);
  http::RequestHead upgrade(arena);
  http::RequestHead h2_upgrade(arena);
  h2.protocol = h2_upgrade.protocol = http::Protocol::kHttp2;
  upgrade.upgrade = h2_upgrade.upgrade = "websocket";
  struct Row {
    UpstreamProtocol protocol;
    bool allow_connect;  // RFC 8441
    PoolProtocol of_h1, of_h2, of_upgrade, of_h2_upgrade;
  };
  constexpr auto k1 = PoolProtocol::kHttp1;
  constexpr auto k2 = PoolProtocol::kHttp2;
  constexpr auto kA = PoolProtocol::kAuto;
  const Row rows[] = {{UpstreamProtocol::kHttp1, false, k1, k1, k1, k1},
                      {UpstreamProtocol::kHttp2, false, k2, k2, k2, k2},
                      {UpstreamProtocol::kAuto, false, kA, kA, k1, k1},
                      {UpstreamProtocol::kAuto, true, kA, kA, kA, kA},
                      {UpstreamProtocol::kDownstream, false, k1, k2, k1, k1},
                      {UpstreamProtocol::kDownstream, true, k1, k2, k1, k2}};
  for (const Row& row : rows) {
    PoolOptions options;
    options.protocol = row.protocol;
    options.h2.allow_connect = row.allow_connect;
    EXPECT_EQ(options.protocol_for(h1), row.of_h1);
    EXPECT_EQ(options.protocol_for(h2), row.of_h2);
    EXPECT_EQ(options.protocol_for(upgrade), row.of_upgrade);
    EXPECT_EQ(options.protocol_for(h2_upgrade), row.of_h2_upgrade);
  }
}

}  // namespace
}  // namespace pillion::upstream
