#pragma once
// ConfigEntries: what stands in a section of a config dump, one entry after the other.
// Internal to /config_dump and /csds.

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/admin/config_entry.h"
#include "proxy/admin/pages.h"
#include "proxy/admin/server_view.h"

namespace pillion::admin {

class ConfigEntries {
 public:
  using Filter = std::shared_ptr<const stats::NameFilter>;  // null: all names

  // `view` outlives the object.  `list`: of the section, the only one that is wanted; null: all, in
  // their order.
  ConfigEntries(const ServerView& view, const DumpSection& section, Filter filter,
                const DumpList* list = nullptr);

  // `entry` lives until the next call.  kLater: much was looked at; ask again in the next turn.
  enum class Found : uint8_t { kEntry, kLater, kEnd };
  Found next(std::span<const ConfigResource>& entry);
  [[nodiscard]] bool is_empty() const noexcept { return resources_.empty(); }

 private:
  [[nodiscard]] bool is_wanted(const ConfigResource& resource) const;
  void take_inline_routes();
  void add_refusal(std::string_view cluster, ConfigResource& endpoints) const;

  const ServerView& view_;
  const DumpSection& section_;
  const Filter filter_;
  const DumpList* const list_;
  std::vector<ConfigResource> resources_;
  size_t at_ = 0;
  ConfigResource endpoints_;  // of the cluster before it
  std::map<std::string, ConfigResource, std::less<>> refused_endpoints_;  // by their EDS names
  // Routes that listeners hold come before those that have a name of their own.
  std::vector<ConfigResource> listeners_;
  size_t next_listener_ = 0;
  std::vector<ConfigResource> inline_routes_;  // of one listener
  size_t next_inline_ = 0;
};

// The endpoints of a cluster as Envoy's ClusterLoadAssignment.
std::shared_ptr<const config::Document> assignment_of(const ClusterStatus& cluster);

}  // namespace pillion::admin
