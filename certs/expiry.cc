#include "certs/expiry.h"

#include <algorithm>

#include "proxy/base/log.h"
#include "proxy/tls/x509_info.h"

namespace pillion::certs {
namespace {

constexpr Duration kLongestNotice = std::chrono::hours(24 * 30);
// A timer is not late by more than this, whatever becomes of the wall clock.
constexpr Duration kLongestSleep = std::chrono::hours(24);
// Times of certificates are whole seconds.
constexpr Duration kShortestSleep = std::chrono::seconds(1);
constexpr Duration kGathering = std::chrono::milliseconds(200);

int64_t seconds(Duration since) { return std::chrono::floor<std::chrono::seconds>(since).count(); }

template <typename Block>
void set(Block& block, WallTime not_before, WallTime not_after, WallTime now) {
  block.expiration_unix_time_seconds.set(seconds(not_after.time_since_epoch()));
  block.age_seconds.set(std::max<int64_t>(seconds(now - not_before), 0));
  block.expired.set(now >= not_after ? 1 : 0);
}

}  // namespace

Expiry::Expiry(io::Loop& loop, stats::Registry& registry, const ExpiryHost& host,
               std::function<WallTime()> clock)
    : loop_(loop), registry_(registry), host_(host), clock_(std::move(clock)) {
  registry_.on_scrape([this] { update(); });
}

void Expiry::changed() {
  const Instant soon = loop_.now() + kGathering;
  if (!timer_.is_armed() || timer_.deadline() > soon) loop_.arm_at(timer_, soon);
}

Expiry::Items Expiry::items() const {
  Items out;
  for (CertificateInForce& item : host_.certificates_in_force()) {
    const auto [it, is_new] = out.try_emplace(Key{item.kind, item.name}, item);
    const bool is_later = item.not_after > it->second.not_after;
    if (!is_new && is_later == (item.kind == CertificateKind::kTrustedCa))
      it->second = std::move(item);
  }
  return out;
}

void Expiry::update() {
  const WallTime now = clock_();
  const Items found = items();
  for (auto it = states_.begin(); it != states_.end();) {
    const bool is_gone = !found.contains(it->first);
    if (is_gone && (it->second.certificate || it->second.trusted_ca))
      --gauges_[static_cast<size_t>(it->first.first)];
    it = is_gone ? states_.erase(it) : std::next(it);
  }
  WallTime next = now + kLongestSleep;
  for (const auto& [key, item] : found) {
    State& state = state_of(key, item, now);
    set_gauges(state, now);
    const Stage stage = stage_of(state, now);
    if (stage > std::exchange(state.told, stage)) log_stage(stage, item, now);
    if (stage == Stage::kGood) next = std::min(next, state.warn_at);
    if (stage == Stage::kEnding) next = std::min(next, state.not_after);
  }
  const bool is_waiting = std::ranges::any_of(
      states_, [](const auto& entry) { return entry.second.told != Stage::kOver; });
  if (!is_waiting) return timer_.cancel();
  loop_.arm(timer_, std::max<Duration>(next - now, kShortestSleep));
}

// From when it is seen, not from when it begins: CAs date back for the sake of late clocks.
Expiry::State& Expiry::state_of(const Key& key, const CertificateInForce& item, WallTime now) {
  State& state = states_[key];
  if (state.not_before != item.not_before || state.not_after != item.not_after) {
    state.not_before = item.not_before;
    state.not_after = item.not_after;
    state.warn_at =
        item.not_after - std::clamp<Duration>((item.not_after - std::max(now, item.not_before)) / 5,
                                              Duration{}, kLongestNotice);
    state.told = Stage::kGood;
  }
  size_t& gauges = gauges_[static_cast<size_t>(key.first)];
  if (state.certificate || state.trusted_ca || gauges == kMostGauges) return state;
  ++gauges;
  if (key.first == CertificateKind::kOurs) {
    state.certificate = registry_.block<stats::CertificateStats>(stats::kControl, item.name);
  } else {
    state.trusted_ca = registry_.block<stats::TrustedCaStats>(stats::kControl, item.name);
  }
  return state;
}

void Expiry::set_gauges(const State& state, WallTime now) {
  if (state.certificate) set(*state.certificate, state.not_before, state.not_after, now);
  if (state.trusted_ca) set(*state.trusted_ca, state.not_before, state.not_after, now);
}

Expiry::Stage Expiry::stage_of(const State& state, WallTime now) noexcept {
  if (now >= state.not_after) return Stage::kOver;
  return now >= state.warn_at ? Stage::kEnding : Stage::kGood;
}

void Expiry::log_stage(Stage stage, const CertificateInForce& item, WallTime now) {
  const bool is_ours = item.kind == CertificateKind::kOurs;
  const std::string expires = tls::utc_text(seconds(item.not_after.time_since_epoch()));
  const std::string_view reason =
      item.failure.empty() ? "no newer one has come" : std::string_view(item.failure);
  if (stage == Stage::kEnding) {
    return log::warning(log::kTls,
                        is_ours ? "a certificate expires soon and has not been renewed"
                                : "trusted CAs expire soon: all of this bundle",
                        {{"certificate", item.name},
                         {"expires", expires},
                         {"left", item.not_after - now},
                         {"reason", reason}});
  }
  log::error(log::kTls,
             is_ours ? "a certificate has expired; it stays in use, and peers refuse it"
                     : "trusted CAs have expired: peers that they vouch for are refused",
             {{"certificate", item.name}, {"expires", expires}, {"reason", reason}});
}

}  // namespace pillion::certs
