// The stream: opening it again, and what goes over it when.
#include <algorithm>
#include <utility>

#include "proxy/base/jitter.h"
#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "xds/ads.h"

namespace pillion::xds {
namespace {

// Responses of a type, and bytes of all types, that wait until those before them are dealt with;
// beyond it nothing is read.  (What was read already still arrives: a message or a part of one.)
constexpr size_t kMaxWaiting = 64;
constexpr size_t kMaxWaitingBytes = size_t{16} << 20;
// A stream that lived as long as the longest wait, but no longer than this is demanded, has proved
// that the server is well.
constexpr Duration kLongLife = std::chrono::seconds(30);
// How long a server may leave a stream without an answer if there is another one.
constexpr Duration kAnswerTime = std::chrono::seconds(15);
constexpr size_t kMaxWarned = 16;

}  // namespace

void AdsClient::start() {
  if (std::exchange(is_running_, true)) return;
  connect();
}

void AdsClient::stop() {
  is_running_ = false;
  for (io::Timer* timer :
       {&reconnect_timer_, &answer_timer_, &flush_timer_, &fetch_timer_, &lives_timer_})
    timer->cancel();
  call_.close();
}

void AdsClient::connect() {
  ++stream_;
  stream_began_ = loop_.now();
  node_sent_ = is_paused_ = false;
  last_served_ = kResourceTypes - 1;  // clusters first: who is asked in this order answers in it
  for_each_lane([](Lane& lane) { lane.says->begin_stream(); });
  const bool second = is_failed_over_;
  const auto& metadata = second ? options_.failover->metadata : options_.metadata;
  std::vector<upstream::CallField> fields;
  for (const auto& [name, value] : metadata) fields.push_back({name, value});
  call_.open({.cluster = second ? options_.failover->cluster : options_.cluster,
              .path = method_path(options_.only, options_.protocol),
              .authority = second ? options_.failover->authority : options_.authority,
              .metadata = fields});
  flush();
}

void AdsClient::stream_ended(std::string_view reason) {
  const std::string text(reason);
  call_.close();
  answer_timer_.cancel();
  flush_timer_.cancel();
  pending_requests_ = 0;
  if (!is_running_) return;
  // What came by this stream cannot be answered on the next one, which says it again.
  waiting_bytes_ = 0;
  for_each_lane([](Lane& lane) {
    lane.waiting.clear();
    ++lane.counts.attempts;
    ++lane.counts.failure;
  });
  const std::string cluster = is_failed_over_ ? options_.failover->cluster : options_.cluster;
  const Duration wait = next_wait();
  choose_next_server();
  if (options_.tells_again || last_failure_ != text) {
    log::warning(log::kConfig,
                 str("no stream to ", options_.peer, "; what it said last stays in force"),
                 {{"cluster", cluster}, {"reason", text}, {"next_try_in", wait}});
  }
  last_failure_ = text;
  loop_.arm(reconnect_timer_, wait);
  const bool was_connected = std::exchange(is_connected_, false);
  if (was_connected) observer_.on_connected(false, text);
  for_each_lane([this](Lane& lane) {
    if (is_running_ && lane.open && lane.open->is_decided) close_open(lane);
  });
}

// 500 ms, 1 s, 2 s ... and of that a random part: a restarted control plane is not overrun.  One
// answer does not prove that it is well: it may end each stream after it.
Duration AdsClient::next_wait() {
  const Duration life = loop_.now() - stream_began_;
  if (is_connected_ && life >= std::min(options_.backoff_max, kLongLife)) failures_ = 0;
  return full_jitter(options_.backoff_base, options_.backoff_max, ++failures_, rng_);
}

void AdsClient::choose_next_server() {
  is_failed_over_ = options_.failover && !is_failed_over_ && !is_connected_;
}

void AdsClient::on_grpc_end(const upstream::GrpcEnd& end) {
  stream_ended(end.is_from_server ? str(options_.peer, " closed it: ", end.reason)
                                  : std::string(end.reason));
}

void AdsClient::on_grpc_message(std::string_view bytes) {
  Result<Response> decoded = options_.protocol == Protocol::kDelta
                                 ? decode_delta_response(bytes, options_.only)
                                 : decode_response(bytes, options_.only);
  answer_timer_.cancel();
  last_failure_.clear();
  if (!std::exchange(is_connected_, true))
    observer_.on_connected(true, decoded ? decoded->control_plane : std::string());
  if (!call_.is_open()) return;
  decoded ? take(std::move(*decoded), bytes.size()) : warn_once(decoded.error());
}

// There is no request that could answer it.
void AdsClient::warn_once(std::string_view reason) {
  if (warned_.size() >= kMaxWarned || !warned_.emplace(reason).second) return;
  log::warning(log::kConfig, str(options_.peer, " sent what is no answer"),
               {{"cluster", options_.cluster}, {"reason", reason}});
}

void AdsClient::update_pause() {
  const bool is_full = waiting_bytes_ >= kMaxWaitingBytes ||
                       std::ranges::any_of(lanes_, [](const std::unique_ptr<Lane>& lane) {
                         return lane != nullptr && lane->waiting.size() >= kMaxWaiting;
                       });
  if (is_full == is_paused_ || !call_.is_open()) return;
  is_paused_ = is_full;
  is_full ? call_.pause() : call_.resume();
}

// ---- requests ----

// Sends what is due, as far as the rate allows.  Observers may call back in: what is due then goes
// in the same loop.
void AdsClient::flush() {
  if (!call_.is_open() || std::exchange(is_flushing_, true)) return;
  pending_requests_ = 0;
  while (call_.is_open()) {
    const std::optional<size_t> lane = next_due();
    if (!lane || !may_send()) break;
    last_served_ = *lane;
    say(*lanes_[*lane]);
  }
  is_flushing_ = false;
}

// In turn, so that under a rate no type waits for ever.
std::optional<size_t> AdsClient::next_due() {
  for (size_t i = 1; i <= kResourceTypes; ++i) {
    const size_t index = (last_served_ + i) % kResourceTypes;
    Lane* lane = lanes_[index].get();
    if (lane != nullptr && is_due(*lane)) return index;
  }
  return std::nullopt;
}

bool AdsClient::is_due(Lane& lane) {
  const bool is_answer_due = lane.open && lane.open->stream == stream_;
  const bool is_decided = is_answer_due && lane.open->is_decided;
  if (is_decided && lane.open->not_before <= loop_.now()) return true;
  if (is_decided) arm_earlier(flush_timer_, lane.open->not_before);
  if (!lane.says->has_news()) return false;
  // An answer that is held back need not be where news ride on it: they are worth it.
  return !is_answer_due || is_decided || !lane.says->news_ride_on_answers();
}

bool AdsClient::may_send() {
  const Instant now = loop_.now();
  if (!tokens_ || tokens_->try_take(now)) return true;
  ++rate_limit_enforced_;
  for_each_lane([this](Lane& lane) { pending_requests_ += is_due(lane) ? 1 : 0; });
  arm_earlier(flush_timer_, now + tokens_->until_next(now));
  return false;
}

void AdsClient::say(Lane& lane) {
  const bool is_decided = lane.open && lane.open->stream == stream_ && lane.open->is_decided;
  const bool answers =
      is_decided && (lane.says->news_ride_on_answers() || lane.open->not_before <= loop_.now());
  const bool is_first = !std::exchange(node_sent_, true);
  if (is_first && options_.failover) loop_.arm(answer_timer_, kAnswerTime);
  const std::string_view node = is_first ? std::string_view(options_.node) : std::string_view();
  call_.send(answers ? lane.says->next_request(node, lane.open->error)
                     : lane.says->next_request(node, std::nullopt),
             false);
  if (answers) close_open(lane);
}

}  // namespace pillion::xds
