#include "proxy/unbound_listeners.h"

#include <algorithm>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/base/slice.h"
#include "proxy/builder/keep_waiting.h"

namespace pillion {

void UnboundListeners::add(const std::shared_ptr<const core::ListenerConfig>& listener,
                           std::string reason) {
  Entry& entry = entries_[listener->name];
  if (entry.listener == nullptr || entry.listener->socket_hash != listener->socket_hash) entry = {};
  entry.listener = listener;
  entry.may_start = false;
  put_off(entry, std::move(reason));
  arm();
}

// The log hears of it once.
void UnboundListeners::put_off(Entry& entry, std::string reason) {
  entry.delay = entry.delay == Duration{} ? kFirstDelay : std::min(2 * entry.delay, kLongestDelay);
  entry.next_try = loop_.now() + entry.delay;
  if (entry.reason == reason) return;
  entry.reason = std::move(reason);
  entry.since = wall_now();
  log::error(log::kConfig, "a listener waits for its address; what it had in force stays",
             {{"listener", entry.listener->name}, {"reason", entry.reason}});
}

void UnboundListeners::look_at(const Resources& resources) {
  std::erase_if(entries_, [&resources](const auto& item) {
    const Piece<CompiledListener>* piece = find_listener(resources, item.first);
    return piece == nullptr || !piece->waits() ||
           piece->newest->config->socket_hash != item.second.listener->socket_hash;
  });
  arm();
}

void UnboundListeners::try_now() {
  for (auto& [name, entry] : entries_) entry.next_try = loop_.now();
  arm();
}

void UnboundListeners::arm() {
  Instant next{};
  for (const auto& [name, entry] : entries_) {
    if (entry.may_start) continue;
    if (next == Instant{} || entry.next_try < next) next = entry.next_try;
  }
  if (next == Instant{}) return timer_.cancel();
  loop_.arm_at(timer_, next);
}

// Those for which there is no time now are due again at once.
void UnboundListeners::try_due() {
  const Slice slice;
  bool is_any_free = false;
  for (auto& [name, entry] : entries_) {
    if (entry.may_start || entry.next_try > loop_.now()) continue;
    if (Status<> tried = host_.try_listener(*entry.listener); tried) {
      entry.may_start = is_any_free = true;
    } else {
      put_off(entry, tried.error());
    }
    if (slice.is_over()) break;
  }
  arm();
  if (is_any_free) host_.on_addresses_free();
}

HeldListeners UnboundListeners::held() const {
  HeldListeners held;
  for (const auto& [name, entry] : entries_)
    if (!entry.may_start) held.emplace(name, entry.listener->socket_hash);
  return held;
}

const UnboundListeners::Entry* UnboundListeners::find(std::string_view name) const {
  const auto it = entries_.find(name);
  return it == entries_.end() ? nullptr : &it->second;
}

}  // namespace pillion
