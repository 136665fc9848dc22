#include "proxy/control/route_requests.h"

#include "proxy/builder/virtual_hosts.h"

namespace pillion {
namespace {

using core::RouteKind;
using core::RouteName;

enum class Found : uint8_t { kNothing, kHeldUp, kInForce };

// Held up: it has come, but waits for something (clusters) before it is in force.
template <typename T>
Found find_in(const Pieces<T>& pieces, const std::string& name) {
  const auto it = pieces.find(name);
  if (it == pieces.end()) return Found::kNothing;
  if (it->second.waits()) return Found::kHeldUp;
  return it->second.active == nullptr ? Found::kNothing : Found::kInForce;
}

Found find_in(const Resources& resources, RouteKind kind, const std::string& name) {
  return kind == RouteKind::kVirtualHost ? find_in(resources.virtual_hosts, name)
                                         : find_in(resources.routes, name);
}

}  // namespace

RouteRequests::Entry* RouteRequests::find(RouteKind kind, std::string_view name) {
  const auto it = names_.find(RouteName{kind, std::string(name)});
  return it == names_.end() ? nullptr : &it->second;
}

RouteRequests::Verdict RouteRequests::want(const RouteName& name, Instant now) {
  if (Entry* known = find(name.kind, name.name)) {
    known->used = now;
    return known->state == State::kAnswered ? Verdict::kAnswered : Verdict::kWaits;
  }
  if (!make_room(name, now)) return Verdict::kAnswered;
  names_[name].used = now;
  if (name.kind == RouteKind::kTable) {
    tables_.insert(name.name);
  } else {
    hosts_.insert(name.name);
    touched_.insert(name.name);
    ++per_table_[std::string(table_of_host(name.name))];
  }
  return Verdict::kAsk;
}

bool RouteRequests::make_room(const RouteName& name, Instant now) {
  const auto has_room = [&] {
    const auto it = per_table_.find(table_of_host(name.name));
    const bool is_table_full = name.kind == RouteKind::kVirtualHost && it != per_table_.end() &&
                               it->second >= kMaxPerTable;
    return names_.size() < kMaxNames && !is_table_full;
  };
  while (!has_room() && !vain_.empty() && now - vain_.front().used >= kInVainTime) {
    const InVain oldest = std::move(vain_.front());
    vain_.pop_front();
    const auto it = names_.find(oldest.name);
    if (it == names_.end()) continue;
    Entry& entry = it->second;
    entry.is_queued = false;
    if (!entry.is_in_vain) continue;
    if (now - entry.used < kInVainTime) {
      note_in_vain(oldest.name, entry);
    } else {
      forget(oldest.name);
    }
  }
  return has_room();
}

// A request may use it again while it waits here: it goes to the end then.
void RouteRequests::note_in_vain(const RouteName& name, Entry& entry) {
  entry.is_in_vain = true;
  if (!std::exchange(entry.is_queued, true)) vain_.push_back({entry.used, name});
}

void RouteRequests::forget(const RouteName& name) {
  names_.erase(name);
  building_.erase(name);
  if (name.kind == RouteKind::kTable) {
    tables_.erase(name.name);
    return;
  }
  hosts_.erase(name.name);
  touched_.insert(name.name);
  const auto it = per_table_.find(table_of_host(name.name));
  if (it != per_table_.end() && --it->second == 0) per_table_.erase(it);
}

void RouteRequests::on_answered(RouteKind kind, std::string_view name, std::string_view resource) {
  Entry* entry = find(kind, name);
  if (entry == nullptr) return;
  entry->resource = resource;
  if (entry->state == State::kAsked) entry->state = State::kBuilding;
  building_.insert({kind, std::string(name)});
}

void RouteRequests::on_given_up(RouteKind kind, std::string_view name) {
  Entry* entry = find(kind, name);
  if (entry == nullptr || entry->state != State::kAsked) return;
  entry->state = State::kAnswered;
  note_in_vain({kind, std::string(name)}, *entry);
  answers_.push_back({kind, std::string(name)});
}

void RouteRequests::on_built(const Resources& resources) {
  for (auto it = building_.begin(); it != building_.end();) {
    Entry& entry = names_[*it];
    const Found found = find_in(resources, it->kind, entry.resource);
    if (found == Found::kHeldUp) {
      ++it;
      continue;
    }
    entry.is_in_vain = found == Found::kNothing;
    if (entry.is_in_vain) note_in_vain(*it, entry);
    if (entry.state != State::kAnswered) answers_.push_back(*it);
    entry.state = State::kAnswered;
    it = building_.erase(it);
  }
}

std::set<std::string> RouteRequests::drop_unused(const Resources& resources, Instant now) {
  // Once for each resource, as looking takes the mark away.
  std::set<std::string_view> used;
  for (const auto& [name, piece] : resources.virtual_hosts)
    if (piece.active != nullptr && piece.active->host->use->take()) used.insert(name);
  std::vector<RouteName> old;
  std::set<std::string> dropped, needed;
  for (auto& [name, entry] : names_) {
    if (name.kind != RouteKind::kVirtualHost) continue;
    if (used.contains(entry.resource)) entry.used = now;
    const bool is_old = entry.state == State::kAnswered && now - entry.used >= kUnusedTime;
    (is_old ? dropped : needed).insert(entry.resource);
    if (is_old) old.push_back(name);
  }
  for (const RouteName& name : old) forget(name);
  std::erase_if(vain_, [this](const InVain& one) { return !names_.contains(one.name); });
  std::erase_if(dropped, [&needed](const std::string& name) { return needed.contains(name); });
  return dropped;
}

}  // namespace pillion
