#pragma once
// Counters of what a control plane says, for each who uses it.  Control's thread.
//   UpdateStats   of resources that are asked for by name: cluster.<name>.update_* of EDS,
//                 http.<prefix>.rds.<route>.* of RDS
//   SourceStats   of all that a source says of one type: http.<prefix>.scoped_rds.<name>.* of SRDS,
//                 http.<prefix>.rds.vhds.<route>.* of VHDS
//
// As Envoy counts, an attempt is the subscription itself, and each update or failure begins one
// more.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/shared_text.h"
#include "proxy/stats/registry.h"
#include "xds/discovery_message.h"
#include "xds/source.h"

namespace pillion {

// Name of a resource -> what the counters of its users are called by.
using ResourceUsers = std::map<std::string_view, std::vector<std::string_view>>;

template <typename Block>
class UpdateStats {
 public:
  // From now on these names with these users.  make(name, user): a BlockRef.
  template <typename Make>
  void keep(const ResourceUsers& users, Make&& make) {
    std::erase_if(entries_, [&users](const auto& item) { return !users.contains(item.first); });
    for (const auto& [name, list] : users) set_users(name, list, make);
  }
  // The same, where only some names have other users than before; those without any are gone.
  template <typename Names, typename Make>
  void change(const Names& names, const ResourceUsers& users, Make&& make) {
    for (const auto& name : names) {
      const auto it = users.find(name);
      if (it != users.end()) {
        set_users(name, it->second, make);
      } else {
        entries_.erase(name);
      }
    }
  }

  // `content`: a hash of what was said; `took`: until it was in force, or waited for others.
  void on_success(std::string_view name, std::string_view version, uint64_t content,
                  Duration took) {
    const auto it = entries_.find(name);
    if (it == entries_.end()) return;
    const bool is_new = std::exchange(it->second.content, content) != content;
    const int64_t now = to_millis(wall_now().time_since_epoch());
    for (User& user : it->second.users) {
      Block& block = *user.block;
      block.update_attempt.inc();
      block.update_success.inc();
      block.update_time.set(now);
      block.update_duration.record(took);
      block.version.set(xds::version_number(version));
      if constexpr (requires { block.config_reload; }) {
        if (is_new) block.config_reload.inc();
      }
      if constexpr (requires { block.config_reload_time_ms; }) {
        if (is_new) block.config_reload_time_ms.set(now);
      }
      if constexpr (requires { block.update_no_rebuild; }) {
        if (!is_new) block.update_no_rebuild.inc();
      }
    }
  }
  // An answer that has nothing of it.
  void on_empty(std::string_view name) {
    count(name, [](Block& block) {
      block.update_success.inc();
      block.update_empty.inc();
    });
  }
  void on_rejected(std::string_view name) {
    count(name, [](Block& block) { block.update_rejected.inc(); });
  }
  void on_fetch_timeout(std::string_view name) {
    count(name, [](Block& block) { block.init_fetch_timeout.inc(); });
  }
  // For counters that only some have.
  template <typename Fn>
  void for_each(std::string_view name, Fn&& fn) {
    const auto it = entries_.find(name);
    if (it == entries_.end()) return;
    for (User& user : it->second.users) fn(*user.block);
  }
  // Its source has failed so many times.
  void on_failures(std::string_view name, uint64_t times) {
    const auto it = entries_.find(name);
    if (it == entries_.end()) return;
    for (User& user : it->second.users) {
      user.block->update_attempt.add(times);
      user.block->update_failure.add(times);
    }
  }

 private:
  // Mostly a name has one user, which is called like it: ten thousand clusters.
  struct User {
    SharedText other;  // what it is called by; empty: as the resource
    stats::BlockRef<Block> block;
    [[nodiscard]] std::string_view name(std::string_view of_resource) const noexcept {
      return other.empty() ? of_resource : other.view();
    }
  };
  struct Entry {
    std::vector<User> users;
    uint64_t content = 0;
  };

  template <typename Make>
  void set_users(std::string_view name, const std::vector<std::string_view>& list, Make& make) {
    auto it = entries_.find(name);
    if (it == entries_.end()) it = entries_.try_emplace(SharedText(name)).first;
    std::vector<User>& users = it->second.users;
    std::erase_if(users, [&](const User& user) {
      return std::ranges::find(list, user.name(name)) == list.end();
    });
    if (users.capacity() < list.size()) users.reserve(list.size());
    for (const std::string_view user : list) {
      const auto is_it = [&](const User& known) { return known.name(name) == user; };
      if (std::ranges::any_of(users, is_it)) continue;
      User& added = users.emplace_back();
      if (user != name) added.other = user;
      added.block = make(name, user);
      added.block->update_attempt.inc();
    }
  }

  template <typename Fn>
  void count(std::string_view name, Fn&& fn) {
    const auto it = entries_.find(name);
    if (it == entries_.end()) return;
    for (User& user : it->second.users) {
      user.block->update_attempt.inc();
      fn(*user.block);
    }
  }

  std::map<SharedText, Entry, std::less<>> entries_;
};

// What has come to a source's counts since `before`; it may have ended and taken its counts with
// it.
inline xds::SourceCounts growth(const xds::SourceCounts& before, const xds::SourceCounts& now) {
  const auto grown = [](uint64_t a, uint64_t b) { return b > a ? b - a : 0; };
  return {grown(before.attempts, now.attempts), grown(before.success, now.success),
          grown(before.failure, now.failure), grown(before.rejected, now.rejected),
          now.success_time};
}

// `version`: that was accepted last.
template <typename Block>
void add_growth(Block& block, const xds::SourceCounts& growth, std::string_view version) {
  block.update_attempt.add(growth.attempts);
  block.update_success.add(growth.success);
  block.update_failure.add(growth.failure);
  block.update_rejected.add(growth.rejected);
  block.update_time.set(to_millis(growth.success_time.time_since_epoch()));
  block.version.set(xds::version_number(version));
}

// Key: what tells one user from another; ordered.
template <typename Block, typename Key>
class SourceStats {
 public:
  // From now on these users.  make(key): a BlockRef.
  template <typename Keys, typename Make>
  void keep(const Keys& users, Make&& make) {
    std::erase_if(blocks_, [&users](const auto& item) { return !users.contains(item.first); });
    for (const Key& user : users)
      if (!blocks_.contains(user)) add(user, make(user));
  }
  // One more, one less.
  void add(const Key& user, stats::BlockRef<Block> block) {
    blocks_.insert_or_assign(user, std::move(block)).first->second->update_attempt.inc();
  }
  void drop(const Key& user) { blocks_.erase(user); }
  // `counts`: of the source, for the type; `version`: last accepted.
  void update(const xds::SourceCounts& counts, std::string_view version) {
    xds::SourceCounts more = growth(std::exchange(told_, counts), counts);
    more.attempts = more.success + more.failure + more.rejected;  // the first one is keep()'s
    for (auto& [user, block] : blocks_) add_growth(*block, more, version);
  }
  void on_taken(Duration took) {
    for (auto& [user, block] : blocks_) block->update_duration.record(took);
  }
  void on_fetch_timeout() {
    for (auto& [user, block] : blocks_) block->init_fetch_timeout.inc();
  }
  // fn(key, block).
  template <typename Fn>
  void for_each(Fn&& fn) {
    for (auto& [user, block] : blocks_) fn(user, *block);
  }

 private:
  std::map<Key, stats::BlockRef<Block>> blocks_;
  xds::SourceCounts told_;
};

}  // namespace pillion
