// What is asked for, and what becomes of responses.
#include "xds/ads.h"

#include <algorithm>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/base/log.h"
#include "proxy/config/suggest.h"

namespace pillion::xds {
namespace {

// How long the refusal of what was refused before is held back: twice as long each time.
constexpr Duration kFirstHold = std::chrono::milliseconds(100);
constexpr Duration kLongestHold = std::chrono::seconds(5);
constexpr Duration kReleaseEvery = std::chrono::seconds(1);
// Refusals of whatever version: so many at once, then one in each such time.
constexpr int kRefusalBurst = 10;
constexpr Duration kRefusalPrice = std::chrono::seconds(1);
// What waits behind a refusal: a fifth of the time at most goes to what is refused.
constexpr int kPauseForEach = 4;
constexpr Duration kShortestPause = std::chrono::milliseconds(100);

}  // namespace

AdsOptions::AdsOptions(const config::GrpcService& service)
    : protocol(service.is_delta ? Protocol::kDelta : Protocol::kStateOfTheWorld),
      cluster(service.cluster.value),
      authority(service.authority),
      metadata(service.metadata),
      requests(service.requests),
      backoff_base(service.backoff_base),
      backoff_max(service.backoff_max),
      max_message_bytes(service.max_message_bytes) {
  if (!service.failover) return;
  const config::GrpcTarget& second = *service.failover;
  failover = Server{second.cluster.value, second.authority, second.metadata};
}

AdsClient::AdsClient(io::Loop& loop, Rng& rng, upstream::ClusterClient& clusters,
                     SourceObserver& observer, AdsOptions options)
    : loop_(loop),
      rng_(rng),
      observer_(observer),
      options_(std::move(options)),
      call_(clusters, *this, options_.max_message_bytes) {
  if (options_.requests)
    tokens_.emplace(options_.requests->max_tokens, 1u, options_.requests->interval);
}

AdsClient::Lane& AdsClient::lane(ResourceType type) {
  DASSERT(!options_.only || type == *options_.only);
  std::unique_ptr<Lane>& place = lanes_[static_cast<size_t>(type)];
  if (place == nullptr) place = std::make_unique<Lane>(type, options_.protocol);
  return *place;
}

const std::string& AdsClient::version(ResourceType type) const noexcept {
  static const std::string kNone;
  const Lane* lane = find(type);
  return lane == nullptr ? kNone : lane->says->version();
}

const SourceCounts& AdsClient::counts(ResourceType type) const noexcept {
  static const SourceCounts kNone;
  const Lane* lane = find(type);
  return lane == nullptr ? kNone : lane->counts;
}

// ---- what is asked for ----

void AdsClient::subscribe_all(ResourceType type, Duration timeout) {
  Lane& l = lane(type);
  if (l.says->is_wildcard()) return;
  ++l.counts.attempts;
  l.says->ask_all();
  l.awaited.clear();
  await(l, Awaited::kAll, timeout);
  flush();
}

void AdsClient::subscribe(ResourceType type, const AskedNames& names) {
  if (names.empty() && find(type) == nullptr) return;
  Lane& l = lane(type);
  const Subscription::Names& known = l.says->names();
  const bool is_same = std::ranges::equal(
      names, known, [](const auto& a, const auto& b) { return a.first == b.first; });
  if (is_same && !l.says->is_wildcard()) return;
  l.awaited.remove(Awaited::kAll);
  std::set<std::string> wanted;
  for (const auto& [name, timeout] : names) {
    if (!known.contains(name)) await(l, name, timeout);
    wanted.insert(wanted.end(), name);
  }
  l.awaited.keep_only(wanted);
  if (type != ResourceType::kVirtualHosts)
    std::erase_if(l.lives, [&wanted](const auto& item) { return !wanted.contains(item.first); });
  l.says->ask(wanted);
  flush();
}

// Of ten thousand names only those are looked at that come or go.
void AdsClient::change(ResourceType type, const AskedNames& names,
                       const std::vector<std::string>& touched) {
  Lane* const l = find(type);
  if (l == nullptr || l->says->is_wildcard()) return subscribe(type, names);
  for (const std::string& name : touched) {
    const auto wanted = names.find(name);
    if (wanted != names.end()) {
      if (l->says->add(name)) await(*l, name, wanted->second);
    } else if (l->says->drop(name)) {
      l->awaited.remove(name);
      if (type != ResourceType::kVirtualHosts) l->lives.erase(name);
    }
  }
  flush();
}

// Not so often that a server could keep us busy by it; soon then.
bool AdsClient::release(ResourceType type) {
  Lane* l = find(type);
  const Instant now = loop_.now();
  const bool is_held = l != nullptr && l->open && l->open->is_decided && l->open->not_before > now;
  if (!is_held) return false;
  const Instant at = released_ == Instant{} ? now : std::max(now, released_ + kReleaseEvery);
  if (at >= l->open->not_before) return true;
  released_ = l->open->not_before = at;
  flush();
  return true;
}

// ---- responses ----

void AdsClient::take(Response&& response) {
  Lane* l = find(response.type);
  // Nobody asked: nothing to answer.
  if (l == nullptr || !l->says->has_spoken()) return;
  if (!l->open) return begin(*l, Pending(std::move(response)));
  wait(*l, std::move(response));
  note_crowd();
  if (l->open->is_decided) flush();  // what is held back may go earlier now
}

// What must be refused as a whole has nothing to do with the others, but that in the state of the
// world a newer one stands for it.
void AdsClient::wait(Lane& lane, Response&& response) {
  std::optional<Pending>& place = response.wrong.empty() ? lane.waiting : lane.waiting_wrong;
  if (response.wrong.empty() && !response.is_delta && lane.waiting_wrong) {
    lane.waiting_wrong.reset();
    ++lane.counts.superseded;
  }
  if (place) {
    log::debug(log::kConfig, "a newer response joins one that waits",
               {{"type", short_name(lane.type)}, {"version", config::printable(response.version)}});
    lane.counts.superseded += place->add(std::move(response));
  } else {
    place.emplace(std::move(response));
  }
}

void AdsClient::begin(Lane& lane, Pending&& pending) {
  Response response = pending.take();
  lane.open = Open{response.version, stream_, pending.take_parts(), loop_.now()};
  if (lane.says->is_wildcard()) lane.awaited.clear();
  lane.says->sift(response);
  if (!look_at(lane, response)) {
    // A heartbeat, which changes nothing.
    lane.says->accepted();
    lane.open->is_decided = true;
    lane.open->replies = replies_to(lane.type, std::move(lane.open->parts), {}, nullptr);
    return flush();
  }
  note_missing(lane, response);
  observer_.on_resources(std::move(response));
}

// What it says beside its resources; false if there is nothing else.
bool AdsClient::look_at(Lane& lane, Response& response) {
  const bool had_heartbeats = note_lives(lane, response);
  const bool says_all = !response.is_delta && response.wrong.empty() && is_whole(lane.type) &&
                        (!had_heartbeats || !response.resources.empty());
  if (says_all) forget_lives(lane, response);
  return !had_heartbeats || !response.resources.empty() || !response.removed.empty() ||
         !response.errors.empty();
}

void AdsClient::accept(ResourceType type) { finish(type, {}, nullptr); }

void AdsClient::reject(ResourceType type, std::string_view reason) {
  finish(type, reason.empty() ? "refused" : reason, nullptr);
}

void AdsClient::reject(ResourceType type, std::string_view reason,
                       const std::set<std::string>& refused) {
  finish(type, reason.empty() ? "refused" : reason, &refused);
}

void AdsClient::finish(ResourceType type, std::string_view error,
                       const std::set<std::string>* refused) {
  Lane* l = find(type);
  const bool is_due = l != nullptr && l->open && !l->open->is_decided;
  DASSERT(is_due);
  if (!is_due) return;
  Open& open = *l->open;
  const Instant now = loop_.now();
  open.is_decided = true;
  open.replies = replies_to(type, std::move(open.parts), std::string(error), refused);
  const bool is_said = open.stream != 0;
  if (is_said) count(*l);
  if (error.empty()) {
    if (is_said) l->says->accepted();
    l->refusals = 0;
    l->counts.success_time = wall_now();
  } else if (is_said) {
    l->says->rejected(refused);
    l->refusals = open.version == l->refused ? l->refusals + 1 : 1;
    l->refused = open.version;
    open.not_before = now + hold(*l, now);
    open.gives_way =
        now + std::clamp(kPauseForEach * (now - open.began), kShortestPause, kLongestHold);
  }
  // What has come to its end meanwhile is not held by what became of the response.
  if (!l->expired.empty()) l->says->expire(l->expired);
  if (open.stream != stream_ || !call_.is_open()) close_open(*l);
  flush();
}

// Each of the responses that it was made of.
void AdsClient::count(Lane& lane) {
  for (const Reply& reply : lane.open->replies) {
    ++lane.counts.attempts;
    ++(reply.error.empty() ? lane.counts.success : lane.counts.rejected);
  }
}

// Servers such as go-control-plane say the same again as soon as it was refused, as fast as they
// are told so; others might say another version each time.
Duration AdsClient::hold(Lane& lane, Instant now) {
  lane.refusals_until = std::max(lane.refusals_until, now) + kRefusalPrice;
  Duration wait = std::max(lane.refusals_until - now - kRefusalBurst * kRefusalPrice, Duration{});
  if (lane.refusals > 1)
    wait = std::max(wait, kFirstHold * (int64_t{1} << std::min(lane.refusals - 2, 10u)));
  return std::min(wait, kLongestHold);
}

// It was answered, or cannot be: the next one.
void AdsClient::close_open(Lane& lane) {
  lane.open.reset();
  if (!lane.expired.empty()) return begin_expired(lane);
  std::optional<Pending>& next = lane.waiting ? lane.waiting : lane.waiting_wrong;
  if (!next) return;
  Pending pending = std::move(*next);
  next.reset();
  update_pause();
  begin(lane, std::move(pending));
}

}  // namespace pillion::xds
