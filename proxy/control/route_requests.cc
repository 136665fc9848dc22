#include "proxy/control/route_requests.h"

#include "proxy/base/str.h"
#include "proxy/builder/scoped_routes.h"
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

// Once for each resource, as looking takes the mark away.
std::set<std::string_view> take_used_hosts(const Resources& resources) {
  std::set<std::string_view> used;
  for (const auto& [name, piece] : resources.virtual_hosts)
    if (piece.active != nullptr && piece.active->host->use->take()) used.insert(name);
  return used;
}

}  // namespace

RouteRequests::Entry* RouteRequests::find(RouteKind kind, std::string_view name) {
  const auto it = names_.find(RouteName{kind, std::string(name)});
  return it == names_.end() ? nullptr : &it->second;
}

// ---- what workers want ----

RouteRequests::Verdict RouteRequests::want(const RouteName& name, Instant now) {
  if (Entry* known = find(name.kind, name.name)) {
    known->used = now;
    if (known->state == State::kAsked) await_answer(*known);
    return known->state == State::kAnswered ? Verdict::kAnswered : Verdict::kWaits;
  }
  if (asks_.remaining(now) == 0 || !make_room(name, now)) return Verdict::kAnswered;
  static_cast<void>(asks_.try_take(now));
  add(name, now);
  return Verdict::kAsk;
}

bool RouteRequests::make_room(const RouteName& name, Instant now) {
  const auto it = per_table_.find(table_of_host(name.name));
  const bool is_table_full = name.kind == RouteKind::kVirtualHost && it != per_table_.end() &&
                             it->second.names >= kMaxPerTable;
  if (is_table_full) return drop_oldest(it->second.fruitless.front(), now);
  return names_.size() < kMaxNames || drop_oldest(fruitless_.front(), now);
}

bool RouteRequests::drop_oldest(Entry* oldest, Instant now) {
  if (oldest == nullptr) return false;
  if (oldest->state != State::kAnswered && now - oldest->used < kStay) return false;
  forsake(*oldest, forsaken_);
  return true;
}

void RouteRequests::add(const RouteName& name, Instant now) {
  static_cast<void>(late_.erase(name.name));
  const auto it = names_.try_emplace(name).first;
  Entry& entry = it->second;
  entry.name = &it->first;
  entry.used = now;
  if (name.kind == RouteKind::kTable) {
    tables_.insert(name.name);
  } else {
    hosts_.insert(name.name);
    touched_.insert(name.name);
    entry.table = &per_table_[std::string(table_of_host(name.name))];
    ++entry.table->names;
  }
  await_answer(entry);
}

void RouteRequests::leave_lines(Entry& entry) {
  Line<InTable>::erase(entry);
  Line<InAll>::erase(entry);
  Line<Unanswered>::erase(entry);
}

void RouteRequests::await_answer(Entry& entry) {
  leave_lines(entry);
  if (entry.table != nullptr) entry.table->fruitless.push_back(entry);
  fruitless_.push_back(entry);
  unanswered_.push_back(entry);
}

void RouteRequests::note_in_vain(Entry& entry) {
  leave_lines(entry);
  if (entry.table != nullptr) entry.table->fruitless.push_front(entry);
  fruitless_.push_front(entry);
}

// ---- what comes of it ----

// What has come is not forgotten before it is clear what it is.
void RouteRequests::on_heard(RouteKind kind, std::string_view name) {
  Entry* entry = find(kind, name);
  if (entry == nullptr || entry->state != State::kAsked) return;
  entry->state = State::kHeard;
  leave_lines(*entry);
}

void RouteRequests::on_answered(RouteKind kind, std::string_view name, std::string_view resource) {
  on_heard(kind, name);
  Entry* entry = find(kind, name);
  if (entry == nullptr) return;
  entry->resource = resource;
  building_.insert(*entry->name);
}

void RouteRequests::on_given_up(RouteKind kind, std::string_view name) {
  Entry* entry = find(kind, name);
  if (entry == nullptr || entry->state != State::kAsked) return;
  entry->state = State::kAnswered;
  note_in_vain(*entry);
  answers_.push_back(*entry->name);
}

void RouteRequests::on_built(const Resources& resources) {
  for (auto it = building_.begin(); it != building_.end();) {
    Entry& entry = names_.find(*it)->second;
    const Found found = find_in(resources, it->kind, entry.resource);
    if (found == Found::kHeldUp) {
      ++it;
      continue;
    }
    if (std::exchange(entry.state, State::kAnswered) != State::kAnswered) answers_.push_back(*it);
    if (found == Found::kNothing) {
      note_in_vain(entry);
    } else {
      leave_lines(entry);
    }
    it = building_.erase(it);
  }
}

// ---- what is forgotten ----

void RouteRequests::forget(Entry& entry) {
  const RouteName name = *entry.name;
  building_.erase(name);
  if (name.kind == RouteKind::kTable) {
    tables_.erase(name.name);
  } else {
    hosts_.erase(name.name);
    touched_.insert(name.name);
  }
  const bool is_last = entry.table != nullptr && --entry.table->names == 0;
  names_.erase(name);
  if (is_last) per_table_.erase(per_table_.find(table_of_host(name.name)));
}

void RouteRequests::forsake(Entry& entry, std::vector<RouteName>& told) {
  if (entry.state != State::kAnswered) told.push_back(*entry.name);
  const bool was_heard = entry.state == State::kHeard || !entry.resource.empty();
  if (!was_heard && entry.name->kind == RouteKind::kVirtualHost) late_.insert(entry.name->name);
  forget(entry);
}

void RouteRequests::Late::insert(const std::string& name) {
  if (!names_.insert(name).second) return;
  order_.push_back(name);
  if (order_.size() <= kMaxNames) return;
  names_.erase(order_.front());
  order_.pop_front();
}

bool RouteRequests::Late::erase(std::string_view name) {
  const auto it = names_.find(name);
  if (it == names_.end()) return false;
  names_.erase(it);
  return true;
}

void RouteRequests::drop_forsaken(Instant now) {
  while (Entry* const oldest = unanswered_.front()) {
    if (now - oldest->used < kForsakenTime) return;
    forsake(*oldest, forsaken_);
  }
}

Instant RouteRequests::forsaken_at() const {
  const Entry* const oldest = unanswered_.front();
  return oldest == nullptr ? Instant{} : oldest->used + kForsakenTime;
}

std::set<std::string> RouteRequests::drop_unused(const Resources& resources, Instant now) {
  const std::set<std::string_view> used = take_used_hosts(resources);
  const Names used_tables = take_used_tables(resources);
  std::vector<Entry*> old;
  std::set<std::string> dropped, needed;
  for (auto& [name, entry] : names_) {
    const bool is_host = name.kind == RouteKind::kVirtualHost;
    if (is_host ? used.contains(entry.resource) : used_tables.contains(name.name)) entry.used = now;
    const bool is_old = entry.state == State::kAnswered && now - entry.used >= kUnusedTime;
    if (is_old) old.push_back(&entry);
    if (is_host) (is_old ? dropped : needed).insert(entry.resource);
  }
  for (Entry* const entry : old) forget(*entry);
  std::erase_if(dropped, [&needed](const std::string& name) { return needed.contains(name); });
  return dropped;
}

void RouteRequests::drop_tables(const Names& names) {
  for (const std::string& name : names)
    if (Entry* const entry = find(RouteKind::kTable, name)) forsake(*entry, answers_);
}

std::set<std::string> RouteRequests::drop_hosts_of(std::string_view table) {
  const std::string prefix = str(table, '/');
  std::vector<std::string> old;
  for (auto it = hosts_.lower_bound(prefix); it != hosts_.end() && it->starts_with(prefix); ++it)
    if (table_of_host(*it) == table) old.push_back(*it);
  std::set<std::string> dropped;
  for (const std::string& name : old) {
    Entry* const entry = find(RouteKind::kVirtualHost, name);
    if (!entry->resource.empty()) dropped.insert(entry->resource);
    forsake(*entry, answers_);
  }
  return dropped;
}

}  // namespace pillion
