#include "xds/ads.h"

#include <algorithm>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/base/jitter.h"
#include "proxy/base/log.h"
#include "proxy/base/str.h"

namespace pillion::xds {
namespace {

// Responses that wait until those before them are dealt with; beyond it nothing is read.
constexpr size_t kMaxWaiting = 8;
// How long the refusal of what was refused before is held back: twice as long each time.
constexpr Duration kFirstHold = std::chrono::milliseconds(100);
constexpr Duration kLongestHold = std::chrono::seconds(5);
// Stands for all names of a wildcard in Subscription::awaited.
constexpr std::string_view kAll = "*";

}  // namespace

AdsOptions::AdsOptions(const config::GrpcService& service)
    : cluster(service.cluster.value),
      authority(service.authority),
      metadata(service.metadata),
      backoff_base(service.backoff_base),
      backoff_max(service.backoff_max),
      max_message_bytes(service.max_message_bytes) {}

AdsClient::AdsClient(io::Loop& loop, Rng& rng, upstream::ClusterClient& clusters,
                     SourceObserver& observer, AdsOptions options)
    : loop_(loop),
      rng_(rng),
      observer_(observer),
      options_(std::move(options)),
      call_(clusters, *this, options_.max_message_bytes) {}

const std::string& AdsClient::version(ResourceType type) const noexcept {
  return subscriptions_[static_cast<size_t>(type)].version;
}

const SourceCounts& AdsClient::counts(ResourceType type) const noexcept {
  return subscriptions_[static_cast<size_t>(type)].counts;
}

// ---- the stream ----

void AdsClient::start() {
  if (std::exchange(is_running_, true)) return;
  connect();
}

void AdsClient::stop() {
  is_running_ = false;
  reconnect_timer_.cancel();
  fetch_timer_.cancel();
  hold_timer_.cancel();
  call_.close();
}

void AdsClient::connect() {
  ++stream_;
  node_sent_ = is_paused_ = false;
  for (Subscription& s : subscriptions_) {
    s.nonce.clear();
    s.was_sent = false;
  }
  std::vector<upstream::CallField> fields;
  for (const auto& [name, value] : options_.metadata) fields.push_back({name, value});
  call_.open({.cluster = options_.cluster,
              .path = options_.path,
              .authority = options_.authority,
              .metadata = fields});
  for (const ResourceType type : kAllTypes) {
    if (at(type).is_wanted) send_if_due(type);
  }
}

void AdsClient::stream_ended(std::string_view reason) {
  call_.close();
  if (!is_running_) return;
  for (Subscription& s : subscriptions_) {
    // What came by this stream cannot be answered on the next one, which says it again.
    s.waiting.clear();
    if (std::exchange(s.held_until, {}) != Instant{}) s.open.reset();
    if (!s.is_wanted) continue;
    ++s.counts.attempts;
    ++s.counts.failure;
  }
  const Duration wait = next_wait();
  if (options_.tells_again || last_failure_ != reason) {
    log::warning(log::kConfig,
                 str("no stream to ", options_.peer, "; what it said last stays in force"),
                 {{"cluster", options_.cluster}, {"reason", reason}, {"next_try_in", wait}});
  }
  last_failure_ = reason;
  loop_.arm(reconnect_timer_, wait);
  const bool was_connected = std::exchange(is_connected_, false);
  if (was_connected) observer_.on_connected(false, reason);
}

// 500 ms, 1 s, 2 s ... and of that a random part: a restarted control plane is not overrun.
Duration AdsClient::next_wait() {
  return full_jitter(options_.backoff_base, options_.backoff_max, ++failures_, rng_);
}

void AdsClient::on_grpc_end(const upstream::GrpcEnd& end) {
  stream_ended(end.is_from_server ? str(options_.peer, " closed it: ", end.reason)
                                  : std::string(end.reason));
}

// ---- responses ----

void AdsClient::on_grpc_message(std::string_view bytes) {
  Result<Response> decoded = decode_response(bytes);
  failures_ = 0;
  last_failure_.clear();
  if (!std::exchange(is_connected_, true))
    observer_.on_connected(true, decoded ? decoded->control_plane : std::string());
  if (!call_.is_open()) return;
  if (decoded) return take(std::move(*decoded));
  log::warning(log::kConfig, str(options_.peer, " sent what is no answer"),
               {{"cluster", options_.cluster}, {"reason", decoded.error()}});
}

void AdsClient::take(Response&& response) {
  const ResourceType type = response.type;
  Subscription& s = at(type);
  if (!s.is_wanted) return;  // nobody asked: nothing to answer
  if (s.open) {
    s.waiting.push_back(std::move(response));
    return update_pause();
  }
  s.nonce = response.nonce;
  if (s.is_wildcard) s.awaited.clear();
  s.open = Open{response.version, stream_};
  observer_.on_resources(std::move(response));
}

void AdsClient::accept(ResourceType type) { finish(type, {}); }

void AdsClient::reject(ResourceType type, std::string_view reason) {
  finish(type, reason.empty() ? "refused" : reason);
}

void AdsClient::finish(ResourceType type, std::string_view error) {
  Subscription& s = at(type);
  DASSERT(s.open.has_value());
  if (!s.open) return;
  ++s.counts.attempts;
  if (error.empty()) {
    ++s.counts.success;
    s.counts.success_time = wall_now();
    s.version = s.open->version;
    s.refusals = 0;
  } else {
    ++s.counts.rejected;
    s.refusals = s.open->version == s.refused ? s.refusals + 1 : 1;
    s.refused = s.open->version;
  }
  if (s.refusals > 1 && call_.is_open() && s.open->stream == stream_) return hold(s, error);
  answer(type, error);
}

// Servers such as go-control-plane say the same again as soon as it was refused, as fast as they
// are told so.
void AdsClient::hold(Subscription& s, std::string_view error) {
  const Duration wait = kFirstHold * (int64_t{1} << std::min(s.refusals - 2, 10u));
  s.held_error = error;
  s.held_until = loop_.now() + std::min(wait, kLongestHold);
  arm_hold_timer(s.held_until);
}

void AdsClient::arm_hold_timer(Instant deadline) {
  if (!hold_timer_.is_armed() || deadline < hold_timer_.deadline())
    loop_.arm_at(hold_timer_, deadline);
}

void AdsClient::answer_held() {
  const Instant now = loop_.now();
  for (const ResourceType type : kAllTypes) {
    Subscription& s = at(type);
    if (s.held_until == Instant{}) continue;
    if (s.held_until > now) {
      arm_hold_timer(s.held_until);
      continue;
    }
    s.held_until = {};
    answer(type, std::exchange(s.held_error, {}));
  }
}

void AdsClient::answer(ResourceType type, std::string_view error) {
  Subscription& s = at(type);
  const uint64_t stream = s.open->stream;
  s.open.reset();
  if (stream == stream_) send(type, error);
  if (s.waiting.empty()) return;
  Response next = std::move(s.waiting.front());
  s.waiting.pop_front();
  update_pause();
  take(std::move(next));
}

void AdsClient::update_pause() {
  const bool is_full = std::ranges::any_of(
      subscriptions_, [](const Subscription& s) { return s.waiting.size() >= kMaxWaiting; });
  if (is_full == is_paused_ || !call_.is_open()) return;
  is_paused_ = is_full;
  is_full ? call_.pause() : call_.resume();
}

// ---- requests ----

void AdsClient::send(ResourceType type, std::string_view error) {
  Subscription& s = at(type);
  if (!call_.is_open()) return;
  Request request;
  request.type = type;
  request.version = s.version;
  request.nonce = s.nonce;
  if (!std::exchange(node_sent_, true)) request.node = options_.node;
  if (!s.is_wildcard) request.names = &s.names;
  request.error = error;
  s.was_sent = true;
  call_.send(encode_request(request), false);
}

// The list of names: at once, or with the answer that is due.
void AdsClient::send_if_due(ResourceType type) {
  Subscription& s = at(type);
  if (!call_.is_open()) return;
  // A NACK that is held back need not be: the names are new.
  if (s.held_until != Instant{}) arm_hold_timer(s.held_until = loop_.now());
  if (s.open && s.open->stream == stream_) return;
  if (!s.is_wildcard && s.names.empty() && !s.was_sent) return;
  send(type, {});
}

void AdsClient::subscribe_all(ResourceType type, Duration timeout) {
  Subscription& s = at(type);
  if (s.is_wanted && s.is_wildcard) return;
  ++s.counts.attempts;
  s.is_wanted = s.is_wildcard = true;
  s.names.clear();
  s.awaited.clear();
  await(s, kAll, timeout);
  send_if_due(type);
}

void AdsClient::subscribe(ResourceType type, const std::map<std::string, Duration>& names) {
  Subscription& s = at(type);
  const bool is_same = std::ranges::equal(
      names, s.names, [](const auto& item, const std::string& name) { return item.first == name; });
  if (is_same && (names.empty() || (s.is_wanted && !s.is_wildcard))) return;
  std::set<std::string> wanted;
  for (const auto& [name, timeout] : names) {
    if (!s.names.contains(name)) await(s, name, timeout);
    wanted.insert(name);
  }
  std::erase_if(s.awaited, [&wanted](const auto& item) { return !wanted.contains(item.first); });
  s.is_wanted = true;
  s.is_wildcard = false;
  s.names = std::move(wanted);
  send_if_due(type);
}

// ---- what does not come ----

void AdsClient::await(Subscription& s, std::string_view name, Duration timeout) {
  if (timeout <= Duration{}) return;
  const Instant deadline = loop_.now() + timeout;
  s.awaited.insert_or_assign(std::string(name), deadline);
  arm_fetch_timer(deadline);
}

void AdsClient::arm_fetch_timer(Instant deadline) {
  if (!fetch_timer_.is_armed() || deadline < fetch_timer_.deadline())
    loop_.arm_at(fetch_timer_, deadline);
}

void AdsClient::answered(ResourceType type, std::string_view name) {
  Subscription& s = at(type);
  if (const auto it = s.awaited.find(name); it != s.awaited.end()) s.awaited.erase(it);
}

void AdsClient::check_fetch_timeouts() {
  const Instant now = loop_.now();
  for (const ResourceType type : kAllTypes) {
    Subscription& s = at(type);
    std::set<std::string> late;
    for (const auto& [name, deadline] : s.awaited)
      deadline <= now ? static_cast<void>(late.insert(name)) : arm_fetch_timer(deadline);
    if (late.empty()) continue;
    ++s.counts.attempts;
    for (const std::string& name : late) s.awaited.erase(name);
    if (options_.tells_again) {
      log::warning(log::kConfig, str(options_.peer, " has not answered in time; going on without"),
                   {{"type", short_name(type)},
                    {"resources", s.is_wildcard ? std::string("all") : str(late.size())},
                    {"first", *late.begin()}});
    }
    if (s.is_wildcard) late.clear();
    observer_.on_fetch_timeout(type, late);
  }
}

}  // namespace pillion::xds
