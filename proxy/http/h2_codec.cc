#include "proxy/http/h2_codec.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/http/h2_preface.h"
#include "proxy/http/version.h"
#include "proxy/io/writer.h"

namespace pillion::http {
namespace {

// Heads that we make were limited where they came from.
constexpr size_t kMaxSentHead = 9 * 1024 * 1024;
constexpr uint32_t kFirstWindowUpdates = 32;

struct FreeOption {
  void operator()(nghttp2_option* option) const noexcept { nghttp2_option_del(option); }
};

std::unique_ptr<nghttp2_option, FreeOption> make_option(const H2Options& options) {
  nghttp2_option* made = nullptr;
  ASSERT(nghttp2_option_new(&made) == 0);
  std::unique_ptr<nghttp2_option, FreeOption> option(made);
  nghttp2_option_set_no_auto_window_update(made, 1);
  nghttp2_option_set_no_http_messaging(made, 1);  // ours: h2_request.h, h2_response.h
  nghttp2_option_set_no_closed_streams(made, 1);
  nghttp2_option_set_max_outbound_ack(made, options.max_outbound_control_frames);
  // Ours (count_reset_frame): nghttp2's ends the session with INTERNAL_ERROR.
  nghttp2_option_set_stream_reset_rate_limit(made, UINT64_MAX, 0);
  nghttp2_option_set_max_continuations(made, max_continuations(options));
  nghttp2_option_set_max_send_header_block_length(made, kMaxSentHead);
  nghttp2_option_set_max_deflate_dynamic_table_size(made, options.hpack_table_size);
  return option;
}

}  // namespace

// Of all sessions; made on first use, never freed.
const nghttp2_session_callbacks* H2Session::callbacks() {
  static const nghttp2_session_callbacks* const table = [] {
    nghttp2_session_callbacks* t = nullptr;
    ASSERT(nghttp2_session_callbacks_new(&t) == 0);
    add_receive_callbacks(t);
    add_send_callbacks(t);
    return t;
  }();
  return table;
}

H2Session::Kept::Kept(const H2Options& options) noexcept
    : buffer_limit(options.buffer_limit),
      connection_window(options.connection_window),
      stream_window(options.stream_window),
      max_empty_frames(options.max_empty_frames),
      max_priority_frames_per_stream(options.max_priority_frames_per_stream),
      max_window_updates_per_data_frame(options.max_window_updates_per_data_frame),
      stream_reset_burst(options.stream_reset_burst),
      stream_reset_rate(options.stream_reset_rate),
      max_unpacked(
          static_cast<uint32_t>(std::min<size_t>(max_unpacked_block(options), UINT32_MAX / 2))) {}

H2Session::H2Session(Role role, const H2Options& options, H2Observer& observer, io::Writer& writer)
    : observer_(observer),
      writer_(writer),
      kept_(options),
      past_(role == Role::kServer, role == Role::kServer ? kH2Preface.size() : 0),
      priority_credit_(options.max_priority_frames_per_stream),
      window_update_credit_(kFirstWindowUpdates),
      reset_credit_(options.stream_reset_burst),
      idle_frames_(kIdleFrameBurst, writer.now()),
      resets_(options.stream_reset_burst, writer.now()),
      role_(role) {
  const auto option = make_option(options);
  nghttp2_mem memory{&memory_, &H2Memory::allocate, &H2Memory::release, &H2Memory::allocate_zeroed,
                     &H2Memory::resize};
  H2Memory::Sending sending(memory_);  // a client's preface is made at once
  const auto make =
      role == Role::kServer ? &nghttp2_session_server_new3 : &nghttp2_session_client_new3;
  {
    H2Memory::Building building(memory_);
    const int error = make(&session_, callbacks(), this, option.get(), &memory);
    ASSERT(error == 0);  // out of memory
  }
  sending.set_complete(role == Role::kServer);
  begin(options);
  memory_.rest();  // it may have no stream for long
}

H2Session::~H2Session() { nghttp2_session_del(awake()); }

void H2Session::begin(const H2Options& options) {
  nghttp2_settings_entry entries[6];
  size_t count = 0;
  const auto add = [&entries, &count](int32_t id, uint32_t value) {
    entries[count++] = {id, value};
  };
  if (role_ == Role::kServer) {
    add(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
    // Their tree is work for us and of use to nobody (RFC 9113, 5.3).
    add(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1);
    if (options.allow_connect) add(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1);
  } else {
    add(NGHTTP2_SETTINGS_ENABLE_PUSH, 0);
    const auto first = static_cast<int32_t>(options.first_stream_id);
    ASSERT(nghttp2_session_set_next_stream_id(session_, first) == 0);
  }
  add(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.stream_window);
  if (options.hpack_table_size != NGHTTP2_DEFAULT_HEADER_TABLE_SIZE)
    add(NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, options.hpack_table_size);
  ASSERT(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries, count) == 0);
  const auto window = static_cast<int32_t>(options.connection_window);
  ASSERT(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, window) == 0);
}

// ---- the connection ----

void H2Session::ping(uint64_t opaque) {
  uint8_t bytes[8];
  std::copy_n(reinterpret_cast<const uint8_t*>(&opaque), sizeof bytes, bytes);
  nghttp2_submit_ping(awake(), NGHTTP2_FLAG_NONE, bytes);
}

void H2Session::announce_shutdown() { nghttp2_submit_shutdown_notice(awake()); }

void H2Session::goaway(H2Error error) {
  refusing_ = true;
  nghttp2_submit_goaway(awake(), NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(awake()),
                        static_cast<uint32_t>(error), nullptr, 0);
}

void H2Session::terminate(H2Error error) {
  if (error_ == H2Error::kNone) error_ = error;
  nghttp2_session_terminate_session(awake(), static_cast<uint32_t>(error));
}

uint32_t H2Session::peer_max_streams() const noexcept {
  return nghttp2_session_get_remote_settings(awake(), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool H2Session::peer_takes_protocol() const noexcept {
  return nghttp2_session_get_remote_settings(awake(), NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) ==
         1;
}

int32_t H2Session::send_window() const noexcept {
  return nghttp2_session_get_remote_window_size(awake());
}

std::string_view nghttp2_library_version() noexcept { return nghttp2_version(0)->version_str; }

}  // namespace pillion::http
