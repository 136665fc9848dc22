#pragma once
// UpdateStats: counters of resources that are asked for by name, for each who uses them:
// cluster.<name>.update_* of EDS, http.<prefix>.rds.<route>.* of RDS.  Control's thread.
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
#include "proxy/stats/registry.h"
#include "xds/discovery_message.h"

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

  // `content`: a hash of what was said.
  void on_success(std::string_view name, std::string_view version, uint64_t content) {
    const auto it = entries_.find(name);
    if (it == entries_.end()) return;
    const bool is_new = std::exchange(it->second.content, content) != content;
    for (auto& of_user : it->second.blocks) {
      Block& block = *of_user.second;
      block.update_attempt.inc();
      block.update_success.inc();
      block.update_time.set(to_millis(wall_now().time_since_epoch()));
      block.version.set(xds::version_number(version));
      if constexpr (requires { block.config_reload; }) {
        if (is_new) block.config_reload.inc();
      }
      if constexpr (requires { block.update_no_rebuild; }) {
        if (!is_new) block.update_no_rebuild.inc();
      }
    }
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
    for (auto& of_user : it->second.blocks) fn(*of_user.second);
  }
  // Its source has failed so many times.
  void on_failures(std::string_view name, uint64_t times) {
    const auto it = entries_.find(name);
    if (it == entries_.end()) return;
    for (auto& [user, block] : it->second.blocks) {
      block->update_attempt.add(times);
      block->update_failure.add(times);
    }
  }

 private:
  struct Entry {
    std::map<std::string, stats::BlockRef<Block>, std::less<>> blocks;  // by user
    uint64_t content = 0;
  };

  template <typename Make>
  void set_users(std::string_view name, const std::vector<std::string_view>& list, Make& make) {
    Entry& entry = entries_.try_emplace(std::string(name)).first->second;
    std::erase_if(entry.blocks, [&list](const auto& item) {
      return std::ranges::find(list, item.first) == list.end();
    });
    for (const std::string_view user : list) {
      if (entry.blocks.contains(user)) continue;
      auto& block = entry.blocks.emplace(std::string(user), make(name, user)).first->second;
      block->update_attempt.inc();
    }
  }

  template <typename Fn>
  void count(std::string_view name, Fn&& fn) {
    const auto it = entries_.find(name);
    if (it == entries_.end()) return;
    for (auto& [user, block] : it->second.blocks) {
      block->update_attempt.inc();
      fn(*block);
    }
  }

  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace pillion
