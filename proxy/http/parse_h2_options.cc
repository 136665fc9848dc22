#include "proxy/http/parse_h2_options.h"

#include <chrono>
#include <string>

namespace pillion::http {
namespace {

using config::Node;

constexpr std::string_view kLater = "comes with a later version";
constexpr uint32_t kMaxWindow = 0x7fffffff;  // RFC 9113, 6.9.1
constexpr uint32_t kMinWindow = 65535;

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
  node.unsupported({"connection_idle_interval"}, kLater);
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
  parse_keepalive(node["connection_keepalive"], out);
  // Bounds of Envoy's write queue, where ours is bounded in bytes; of METADATA frames, which are
  // never accepted; a choice between Envoy's two codecs.  A malformed message always ends its
  // stream alone.
  node.ignore({"max_outbound_frames", "max_metadata_size", "use_oghttp2_codec",
               "override_stream_error_on_invalid_http_message",
               "stream_error_on_invalid_http_messaging"});
  if (node["allow_metadata"].as_bool_or(false)) node["allow_metadata"].error(std::string(kLater));
  node.unsupported({"custom_settings_parameters", "max_header_field_size_kb",
                    "enable_huffman_encoding", "disallow_obs_text"},
                   kLater);
  node.reject_unknown_keys();
  return out;
}

}  // namespace pillion::http
