#include "proxy/control/subscriptions.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "proxy/base/str.h"
#include "proxy/control/subscriptions_link.h"
#include "xds/file_source.h"

namespace pillion {

using config::ConfigSource;
using xds::ResourceType;

namespace {

const ConfigSource kAds{};
// How long the control plane may take for its first word, before the last good state stands for it.
constexpr Duration kPatience = std::chrono::seconds(1);

}  // namespace

Subscriptions::Subscriptions(Context context, std::optional<xds::AdsOptions> ads,
                             xds::SourceObserver& observer)
    : context_(std::move(context)), ads_options_(std::move(ads)), observer_(observer) {}

Subscriptions::~Subscriptions() { stop(); }

void Subscriptions::start() {
  is_running_ = true;
  if (!ads_options_) return;
  link(ResourceType::kClusters, nullptr);
  if (context_.last_good_path.empty()) return;
  LastGoodObserver& observer = *this;
  last_good_ =
      std::make_unique<LastGood>(context_.loop, context_.last_good_path, context_.owner, observer);
  last_good_->start();
  context_.loop.arm(patience_timer_, kPatience);
}

void Subscriptions::stop() {
  is_running_ = false;
  patience_timer_.cancel();
  confirm_timer_.cancel();
  for (auto& [key, link] : links_) link->source->stop();
  if (cached_ != nullptr) cached_->source->stop();
  last_good_.reset();
}

std::unique_ptr<xds::Source> Subscriptions::make(ResourceType type, const ConfigSource& source,
                                                 xds::SourceObserver& observer) const {
  if (const auto* path = std::get_if<ConfigSource::Path>(&source.how))
    return std::make_unique<xds::FileSource>(context_.loop, type, path->path, observer);
  const auto* api = std::get_if<ConfigSource::Api>(&source.how);
  xds::AdsOptions options = api == nullptr ? *ads_options_ : xds::AdsOptions(api->service);
  if (api != nullptr) {
    options.only = type;
    options.peer = str("the server of ", xds::short_name(type));
  }
  options.node = context_.node;
  return std::make_unique<xds::AdsClient>(context_.loop, context_.rng, context_.clusters, observer,
                                          std::move(options));
}

Subscriptions::Link& Subscriptions::link(ResourceType type, const config::ConfigSourcePtr& source) {
  const ConfigSource& how = source == nullptr ? kAds : *source;
  const std::pair key(how.is_ads() ? std::string() : how.key,
                      how.is_ads() ? size_t{0} : static_cast<size_t>(type));
  std::unique_ptr<Link>& slot = links_[key];
  if (slot == nullptr) {
    slot = std::make_unique<Link>(*this, ++last_number_);
    slot->is_ads = how.is_ads();
    slot->source = make(type, how, *slot);
    slot->source->start();
  }
  return *slot;
}

Subscriptions::Link* Subscriptions::find(uint32_t source) const noexcept {
  if (cached_ != nullptr && cached_->number() == source) return cached_.get();
  for (const auto& [key, link] : links_)
    if (link->number() == source) return link.get();
  return nullptr;
}

template <typename Fn>
void Subscriptions::for_each(ResourceType type, Fn&& fn) const {
  for (const auto& [key, link] : links_)
    if (link->is_ads || key.second == static_cast<size_t>(type)) fn(*link);
}

void Subscriptions::subscribe_all(ResourceType type, const ConfigSource& source) {
  if (source.is_ads() && !ads_options_) return;
  Link& to = link(type, source.is_ads() ? nullptr : std::make_shared<const ConfigSource>(source));
  // It may have been another one's.
  for_each(type, [&to, type, this](Link& other) {
    if (&other == &to || !std::exchange(other.at(type).is_wildcard, false) || !other.is_ads) return;
    other.source->subscribe(type, {});
    if (last_good_ != nullptr) last_good_->forget_all(type);
  });
  to.at(type).is_wildcard = true;
  end_unused(type);
  to.source->subscribe_all(type, source.initial_fetch_timeout);
  if (to.is_ads && cached_ != nullptr) cached_->source->subscribe_all(type, {});
}

void Subscriptions::unsubscribe_all(ResourceType type) {
  ended_.clear();
  for_each(type, [type](Link& link) {
    if (std::exchange(link.at(type).is_wildcard, false) && link.is_ads)
      link.source->subscribe(type, {});
  });
  end_unused(type);
  if (cached_ != nullptr) cached_->source->subscribe(type, {});
}

Subscriptions::Link* Subscriptions::link_of(ResourceType type, const Wanted& wanted) {
  const bool is_ads = wanted.source == nullptr || wanted.source->is_ads();
  if (is_ads && !ads_options_) return nullptr;
  return &link(type, is_ads ? nullptr : wanted.source);
}

// Each source gets its part of the names; who has none left ends.
void Subscriptions::subscribe(ResourceType type, const WantedNames& names) {
  if (!is_running_) return;
  ended_.clear();
  Names before;  // of the aggregated stream
  for_each(type, [type, &before](Link& link) {
    Names asked = std::exchange(link.at(type).names, {});
    if (link.is_ads) before = std::move(asked);
  });
  for (const auto& [name, wanted] : names) {
    if (Link* const to = link_of(type, wanted))
      to->at(type).names.emplace_hint(to->at(type).names.end(), name, wanted.timeout);
  }
  for_each(type, [&](Link& link) {
    if (link.is_ads || !link.at(type).names.empty()) tell(link, type, nullptr);
    std::vector<std::string> known;
    if (link.is_ads && last_good_ != nullptr)
      for (const auto& [name, timeout] : before) known.push_back(name);
    forget_unasked(link, type, known);
  });
  end_unused(type);
}

void Subscriptions::change(ResourceType type, const pillion::Names& touched,
                           const WantedNames& names) {
  if (!is_running_) return;
  ended_.clear();
  std::map<Link*, std::vector<std::string>> changed;
  for (const std::string& name : touched) {
    const auto wanted = names.find(name);
    Link* const to = wanted == names.end() ? nullptr : link_of(type, wanted->second);
    for_each(type, [&](Link& link) {
      if (&link != to && link.at(type).names.erase(name) != 0) changed[&link].push_back(name);
    });
    if (to != nullptr && to->at(type).names.insert_or_assign(name, wanted->second.timeout).second)
      changed[to].push_back(name);
  }
  for (const auto& [link, list] : changed) {
    if (link->is_ads || !link->at(type).names.empty()) tell(*link, type, &list);
    forget_unasked(*link, type, list);
  }
  end_unused(type);
}

void Subscriptions::tell(Link& link, ResourceType type, const std::vector<std::string>* touched) {
  const auto tell_one = [&](xds::Source& source) {
    const Names& asked = link.at(type).names;
    touched == nullptr ? source.subscribe(type, asked) : source.change(type, asked, *touched);
  };
  tell_one(*link.source);
  if (link.is_ads && cached_ != nullptr) tell_one(*cached_->source);
}

void Subscriptions::forget_unasked(const Link& link, ResourceType type,
                                   const std::vector<std::string>& names) {
  if (!link.is_ads || last_good_ == nullptr || link.at(type).is_wildcard) return;
  const Names& asked = link.at(type).names;
  for (const std::string& name : names) {
    if (asked.contains(name)) continue;
    // What has come by it has other names.
    if (type == ResourceType::kVirtualHosts && name == kAllHosts) last_good_->forget_all(type);
    last_good_->forget(type, name);
  }
}

void Subscriptions::forget(ResourceType type, const std::string& name) {
  if (last_good_ != nullptr) last_good_->forget(type, name);
}

void Subscriptions::end_unused(ResourceType type) {
  for (auto it = links_.begin(); it != links_.end();) {
    Link& link = *it->second;
    const bool is_used = link.is_ads || it->first.second != static_cast<size_t>(type) ||
                         link.at(type).is_wildcard || !link.at(type).names.empty();
    if (is_used) {
      ++it;
      continue;
    }
    link.source->stop();
    ended_.push_back(std::move(it->second));
    it = links_.erase(it);
  }
}

Subscriptions::Origin Subscriptions::origin(uint32_t source) const noexcept {
  const Link* link = find(source);
  if (link == nullptr) return Origin::kStream;
  if (link == cached_.get()) return Origin::kLastGood;
  return link->source->cluster().empty() ? Origin::kFile : Origin::kStream;
}

void Subscriptions::accept(uint32_t source, ResourceType type) {
  Link* link = find(source);
  if (link == nullptr) return;
  if (link->is_ads && last_good_ != nullptr) last_good_->answered(type, {}, nullptr);
  link->source->accept(type);
}

void Subscriptions::reject(uint32_t source, ResourceType type, std::string_view reason,
                           const std::set<std::string>* refused) {
  Link* link = find(source);
  if (link == nullptr) return;
  if (link->is_ads && last_good_ != nullptr) last_good_->answered(type, reason, refused);
  refused == nullptr ? link->source->reject(type, reason)
                     : link->source->reject(type, reason, *refused);
}

void Subscriptions::answered(ResourceType type, std::string_view name) {
  for_each(type, [&](Link& link) { link.source->answered(type, name); });
}

bool Subscriptions::release(ResourceType type) {
  bool is_released = false;
  for_each(type, [&](Link& link) { is_released |= link.source->release(type); });
  return is_released;
}

// ---- counters ----

bool Subscriptions::is_connected() const noexcept {
  return std::ranges::any_of(links_, [](const auto& item) {
    return item.second->is_voice() && item.second->source->is_connected();
  });
}

std::set<std::string> Subscriptions::silent_clusters() const {
  std::set<std::string> silent;
  for (const auto& [key, link] : links_) {
    const std::string_view cluster = link->source->cluster();
    const bool is_silent = link->is_voice() && !link->source->is_connected();
    if (is_silent && !cluster.empty()) silent.emplace(cluster);
  }
  return silent;
}

const Subscriptions::Link* Subscriptions::wildcard(ResourceType type) const noexcept {
  for (const auto& [key, link] : links_)
    if (link->at(type).is_wildcard) return link.get();
  return nullptr;
}

std::string_view Subscriptions::version(ResourceType type) const noexcept {
  if (const Link* link = wildcard(type)) return link->source->version(type);
  std::string_view version;
  for_each(type, [&](const Link& link) {
    const bool is_asked = !link.at(type).names.empty();
    if (version.empty() && is_asked) version = link.source->version(type);
  });
  return version;
}

xds::RateCounts Subscriptions::rate_counts() const noexcept {
  xds::RateCounts sum;
  for (const auto& [key, link] : links_) {
    const xds::RateCounts one = link->source->rate_counts();
    sum.enforced += one.enforced;
    sum.pending += one.pending;
  }
  return sum;
}

xds::SourceCounts Subscriptions::counts(ResourceType type) const noexcept {
  if (const Link* link = wildcard(type)) return link->source->counts(type);
  xds::SourceCounts sum;
  for_each(type, [&](const Link& link) {
    const xds::SourceCounts& one = link.source->counts(type);
    sum.attempts += one.attempts;
    sum.success += one.success;
    sum.failure += one.failure;
    sum.rejected += one.rejected;
    sum.superseded += one.superseded;
    sum.success_time = std::max(sum.success_time, one.success_time);
  });
  return sum;
}

const Subscriptions::Names& Subscriptions::asked(uint32_t source,
                                                 ResourceType type) const noexcept {
  static const Names kNone;
  const Link* link = find(source);
  return link == nullptr ? kNone : link->at(type).names;
}

uint64_t Subscriptions::new_failures(Link& link, ResourceType type) {
  const uint64_t now = link.source->counts(type).failure;
  return now - std::exchange(link.at(type).told_failures, now);
}

const Subscriptions::Names& Subscriptions::names_of(Link& link, ResourceType type) {
  return link.at(type).names;
}

}  // namespace pillion
