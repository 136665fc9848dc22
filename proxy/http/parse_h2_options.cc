#include "proxy/http/parse_h2_options.h"

#include <algorithm>
#include <chrono>
#include <string>

namespace pillion::http {
namespace {

using config::Node;

constexpr std::string_view kLater = "comes with a later version";
constexpr uint32_t kMaxWindow = 0x7fffffff;  // RFC 9113, 6.9.1
constexpr uint32_t kMinWindow = 65535;

uint32_t at_most_u32(uint64_t n) {
  return static_cast<uint32_t>(std::min<uint64_t>(n, UINT32_MAX));
}

Duration at_least_a_millisecond(const Node& node, Duration fallback) {
  const Duration value = node.as_duration_or(fallback);
  if (node.is_present() && value < std::chrono::milliseconds(1)) node.expected("at least 1ms");
  return value;
}

void parse_keepalive(const Node& node, H2Options& out) {
  if (node.is_missing()) return;
  out.ping_interval = at_least_a_millisecond(node["interval"], Duration{});
  out.ping_timeout = at_least_a_millisecond(node.required("timeout"), Duration{});
  const Node jitter = node["interval_jitter"];
  out.ping_jitter_percent =
      static_cast<uint32_t>(jitter.as_percent_or(static_cast<double>(out.ping_jitter_percent)));
  // Of connections on which we open streams: to upstreams.
  out.ping_after_idle = at_least_a_millisecond(node["connection_idle_interval"], Duration{});
  node.reject_unknown_keys();
}

}  // namespace

H2Options parse_h2_options(const Node& node) {
  H2Options out;
  if (node.is_missing()) return out;
  out.hpack_table_size = node["hpack_table_size"].as_u32_or(out.hpack_table_size, 0, 1 << 20);
  out.max_concurrent_streams =
      node["max_concurrent_streams"].as_u32_or(out.max_concurrent_streams, 1, kMaxWindow);
  out.stream_window =
      node["initial_stream_window_size"].as_u32_or(out.stream_window, kMinWindow, kMaxWindow);
  out.connection_window = node["initial_connection_window_size"].as_u32_or(out.connection_window,
                                                                           kMinWindow, kMaxWindow);
  out.max_outbound_control_frames =
      node["max_outbound_control_frames"].as_u32_or(out.max_outbound_control_frames, 1);
  out.max_empty_frames =
      node["max_consecutive_inbound_frames_with_empty_payload"].as_u32_or(out.max_empty_frames);
  out.max_priority_frames_per_stream =
      node["max_inbound_priority_frames_per_stream"].as_u32_or(out.max_priority_frames_per_stream);
  out.max_window_updates_per_data_frame =
      node["max_inbound_window_update_frames_per_data_frame_sent"].as_u32_or(
          out.max_window_updates_per_data_frame, 1);
  out.allow_connect = node["allow_connect"].as_bool_or(false);
  out.stream_reset_burst = at_most_u32(node["stream_reset_burst"].as_u64_or(1000, 1));
  out.stream_reset_rate = at_most_u32(node["stream_reset_rate"].as_u64_or(33));
  parse_keepalive(node["connection_keepalive"], out);
  // nghttp2 takes names and values of up to 64 KiB each, whatever is configured.
  if (node["max_header_field_size_kb"].as_u32_or(64, 64, 256) != 64) {
    node["max_header_field_size_kb"].error("fields of up to 64 KiB are taken, and no larger ones");
  }
  if (!node["enable_huffman_encoding"].as_bool_or(true)) {
    node["enable_huffman_encoding"].error(
        "fields are always compressed where that makes them shorter");
  }
  node.unsupported({"custom_settings_parameters"},
                   "a setting that the proxy does not know would promise what it does not do");
  // Bounds of Envoy's write queue, where ours is bounded in bytes; of METADATA frames, which are
  // never accepted; a choice between Envoy's two codecs.  A malformed message always ends its
  // stream alone.
  node.ignore({"max_outbound_frames", "max_metadata_size", "use_oghttp2_codec",
               "override_stream_error_on_invalid_http_message",
               "stream_error_on_invalid_http_messaging"});
  if (node["allow_metadata"].as_bool_or(false)) node["allow_metadata"].error(std::string(kLater));
  node.ignore({"disallow_obs_text"});  // disallows_obs_text()
  node.reject_unknown_keys();
  return out;
}

bool disallows_obs_text(const Node& node) { return node["disallow_obs_text"].as_bool_or(false); }

}  // namespace pillion::http
