#include "proxy/core/route_demand.h"

#include <algorithm>
#include <utility>

namespace pillion::core {

bool is_askable_host(std::string_view host) noexcept {
  constexpr size_t kMaxHost = 255 + 6;  // a name of DNS, and ":65535"
  const auto is_legal = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == ':' || c == '[' || c == ']';
  };
  return !host.empty() && host.size() <= kMaxHost && std::ranges::all_of(host, is_legal);
}

void RouteWaiter::stop_waiting() noexcept {
  if (demands_ == nullptr) return;
  unlink();
  --std::exchange(demands_, nullptr)->count_;
}

bool RouteDemands::is_in_vain(RouteWish wish, Instant now) const {
  const auto it = in_vain_.find(wish);
  return it != in_vain_.end() && now < it->second;
}

bool RouteDemands::is_awaited(RouteWish wish) const {
  for (RouteWaiter* w = list_.front(); w != nullptr; w = list_.next(*w)) {
    if (w->wish_ == wish) return true;
  }
  return false;
}

bool RouteDemands::await(RouteWaiter& waiter, RouteWish wish, Instant now) {
  if (asker_ == nullptr || count_ >= kMaxWaiting || is_in_vain(wish, now)) return false;
  // Who looked again in vain has asked for it before.
  const bool is_asked_for = waiter.wish_ == wish || is_awaited(wish);
  waiter.wish_ = wish;
  waiter.demands_ = this;
  list_.push_back(waiter);
  ++count_;
  if (!is_asked_for) asker_->ask_for_route({wish.kind, std::string(wish.name)});
  return true;
}

void RouteDemands::wake() {
  IntrusiveList<RouteWaiter, RouteDemandTag> now;
  now.splice(list_);
  while (RouteWaiter* waiter = now.front()) {
    waiter->stop_waiting();
    waiter->on_routes();
  }
}

void RouteDemands::answer(const std::vector<RouteName>& names, Instant now) {
  if (in_vain_.size() + names.size() > kMaxInVain)
    std::erase_if(in_vain_, [now](const auto& item) { return item.second <= now; });
  if (in_vain_.size() + names.size() > kMaxInVain) in_vain_.clear();
  for (const RouteName& name : names) in_vain_[name] = now + kInVainTime;
  wake();
}

}  // namespace pillion::core
