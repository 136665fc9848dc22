// The stream: opening it again, and what goes over it when.
#include <algorithm>
#include <utility>

#include "proxy/base/jitter.h"
#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "xds/ads.h"

namespace pillion::xds {
namespace {

// Of what waits until the responses before it are dealt with; beyond it nothing is read.  (What was
// read already still arrives: a message or a part of one.)
constexpr size_t kMaxWaitingBytes = size_t{16} << 20;
// Responses that join those that wait, in a time, after which it goes on.
constexpr size_t kMaxCrowd = 64;
constexpr Duration kCrowdTime = std::chrono::milliseconds(100);
// A stream that lived as long as the longest wait, but no longer than this is demanded, has proved
// that the server is well.
constexpr Duration kLongLife = std::chrono::seconds(30);
// How long a server may leave a stream where it is if there is another one, and what proves that it
// is one of its own.
constexpr Duration kAnswerTime = std::chrono::seconds(15);
constexpr size_t kMaxWarned = 16;

}  // namespace

void AdsClient::start() {
  if (std::exchange(is_running_, true)) return;
  connect();
}

void AdsClient::stop() {
  is_running_ = false;
  for (io::Timer* timer : {&reconnect_timer_, &answer_timer_, &flush_timer_, &crowd_timer_,
                           &fetch_timer_, &lives_timer_})
    timer->cancel();
  call_.close();
}

void AdsClient::connect() {
  ++stream_;
  stream_began_ = loop_.now();
  node_sent_ = is_paused_ = has_answered_ = false;
  crowd_ = 0;
  last_served_ = kResourceTypes - 1;  // clusters first: who is asked in this order answers in it
  for_each_lane([](Lane& lane) { lane.says->begin_stream(); });
  const bool second = is_failed_over_;
  const auto& metadata = second ? options_.failover->metadata : options_.metadata;
  std::vector<upstream::CallField> fields;
  for (const auto& [name, value] : metadata) fields.push_back({name, value});
  call_.open({.cluster = cluster(),
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
  crowd_timer_.cancel();
  pending_requests_ = 0;
  if (!is_running_) return;
  // What came by this stream cannot be answered on the next one, which says it again.
  for_each_lane([](Lane& lane) {
    lane.waiting.reset();
    lane.waiting_wrong.reset();
    ++lane.counts.attempts;
    ++lane.counts.failure;
  });
  const std::string asked(cluster());
  const Duration wait = next_wait();
  choose_next_server();
  if (options_.tells_again || last_failure_ != text) {
    log::warning(log::kConfig,
                 str("no stream to ", options_.peer, "; what it said last stays in force"),
                 {{"cluster", asked}, {"reason", text}, {"next_try_in", wait}});
  }
  last_failure_ = text;
  loop_.arm(reconnect_timer_, wait);
  const bool was_connected = std::exchange(is_connected_, false);
  if (was_connected) observer_.on_connected(false, asked, text);
  for_each_lane([this](Lane& lane) {
    if (is_running_ && lane.open && lane.open->is_decided) close_open(lane);
  });
}

// It has answered, or was there for a time with nothing to say.
bool AdsClient::was_well() const {
  return has_answered_ || (is_connected_ && loop_.now() - stream_began_ >= kAnswerTime);
}

// 500 ms, 1 s, 2 s ... and of that a random part: a restarted control plane is not overrun.  One
// answer does not prove that it is well: it may end each stream after it.
Duration AdsClient::next_wait() {
  const Duration life = loop_.now() - stream_began_;
  if (is_connected_ && life >= std::min(options_.backoff_max, kLongLife)) failures_ = 0;
  return full_jitter(options_.backoff_base, options_.backoff_max, ++failures_, rng_);
}

void AdsClient::choose_next_server() {
  is_failed_over_ = options_.failover && !is_failed_over_ && !was_well();
}

void AdsClient::on_grpc_end(const upstream::GrpcEnd& end) {
  stream_ended(end.is_from_server ? str(options_.peer, " closed it: ", end.reason)
                                  : std::string(end.reason));
}

void AdsClient::on_grpc_message(std::string_view bytes) {
  Result<Response> decoded = options_.protocol == Protocol::kDelta
                                 ? decode_delta_response(bytes, options_.only)
                                 : decode_response(bytes, options_.only);
  last_failure_.clear();
  if (!std::exchange(has_answered_, true)) connected(decoded ? decoded->control_plane : "");
  if (!call_.is_open()) return;
  decoded ? take(std::move(*decoded)) : warn_once(decoded.error());
}

// All that was sent so far is with a server that speaks.
void AdsClient::on_grpc_drained() { connected({}); }

void AdsClient::connected(std::string_view text) {
  answer_timer_.cancel();
  const bool is_first = !std::exchange(is_connected_, true);
  if (is_first || !text.empty()) observer_.on_connected(true, cluster(), text);
}

// There is no request that could answer it.
void AdsClient::warn_once(std::string_view reason) {
  if (warned_.size() >= kMaxWarned || !warned_.emplace(reason).second) return;
  log::warning(log::kConfig, str(options_.peer, " sent what is no answer"),
               {{"cluster", cluster()}, {"reason", reason}});
}

void AdsClient::note_crowd() {
  const Instant now = loop_.now();
  if (now >= crowd_until_) {
    crowd_ = 0;
    crowd_until_ = now + kCrowdTime;
  }
  ++crowd_;
  update_pause();
}

void AdsClient::update_pause() {
  if (!call_.is_open()) return;
  size_t bytes = 0;
  for_each_lane([&bytes](const Lane& lane) {
    bytes += lane.waiting ? lane.waiting->bytes() : 0;
    bytes += lane.waiting_wrong ? lane.waiting_wrong->bytes() : 0;
  });
  const bool is_crowded = crowd_ >= kMaxCrowd && loop_.now() < crowd_until_;
  if (is_crowded) arm_earlier(crowd_timer_, crowd_until_);
  const bool is_full = bytes >= kMaxWaitingBytes || is_crowded;
  if (is_full == is_paused_) return;
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
  const Reply* reply = next_reply(lane);
  if (reply != nullptr) {
    const Instant at = lane.reply_at();
    if (at <= loop_.now()) return true;
    arm_earlier(flush_timer_, at);
  }
  if (!lane.says->has_news()) return false;
  // A refusal that is held back need not be where news ride on it: they are worth it.
  const bool awaits_verdict = lane.open && lane.open->stream == stream_ && reply == nullptr;
  return !awaits_verdict || !lane.says->news_ride_on_answers();
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
  const Reply* reply = next_reply(lane);
  const bool may_reply =
      reply != nullptr && (lane.says->news_ride_on_answers() || lane.reply_at() <= loop_.now());
  const bool is_first = !std::exchange(node_sent_, true);
  if (is_first && options_.failover && !is_connected_) loop_.arm(answer_timer_, kAnswerTime);
  const std::string_view node = is_first ? std::string_view(options_.node) : std::string_view();
  const RequestBytes request = lane.says->next_request(node, may_reply ? reply : nullptr);
  call_.send({request.fields, request.names}, false);
  if (may_reply && ++lane.open->replied == lane.open->replies.size()) close_open(lane);
}

}  // namespace pillion::xds
