#pragma once
// UnknownClusters: what takes the place of something that serves may name clusters that CDS has not
// told of yet. Over one stream a server can be ahead with routes: it may say clusters again only
// when those before are acknowledged. So the new waits a moment (kAnnounceTime), and the old
// serves; Envoy answers 503 NC until the clusters are there. What is new to nobody (a cluster that
// what serves names as well) is not waited for again, nor is anything where no CDS is asked.
// Internal to the builder; lives for one settle() or less.

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>

#include "proxy/builder/resources.h"
#include "proxy/builder/scoped_routes.h"

namespace pillion {

class UnknownClusters {
 public:
  // It outlives the object.
  explicit UnknownClusters(const Resources& resources) : resources_(resources) {}

  // Is it in force, or does it wait to be?
  [[nodiscard]] bool is_known(const std::string& cluster) const;

  // The first that the newest names, and what is in force does not; null: none.
  template <typename T>
  [[nodiscard]] const std::string* named_by(const Piece<T>& piece) const {
    if (!piece.waits() || piece.active == nullptr) return nullptr;
    const std::string* first = nullptr;
    std::unordered_set<std::string_view> known;  // of what is in force, once it matters
    for_each_set(*piece.newest, piece.active.get(), [&](const std::set<std::string>& clusters) {
      for (const std::string& name : clusters) {
        if (first != nullptr || is_known(name)) continue;
        if (known.empty()) known = named_by(*piece.active);
        if (!known.contains(name)) first = &name;
      }
    });
    return first;
  }

 private:
  template <typename T>
  [[nodiscard]] std::unordered_set<std::string_view> named_by(const T& active) const {
    std::unordered_set<std::string_view> names;
    for_each_set(active, nullptr, [&](const auto& set) { names.insert(set.begin(), set.end()); });
    return names;
  }

  // Its own clusters, and those of tables that it names by RDS and `other` does not.
  template <typename T, typename Fn>
  void for_each_set(const T& one, std::type_identity_t<const T*>, Fn&& fn) const {
    fn(one.clusters);
  }
  template <typename Fn>
  void for_each_set(const CompiledListener& one, const CompiledListener* other, Fn&& fn) const {
    fn(one.clusters);
    for (const auto& [name, table] : one.tables)
      if (other == nullptr || !other->tables.contains(name)) fn_of_table(name, fn);
  }
  template <typename Fn>
  void for_each_set(const CompiledScope& one, const CompiledScope*, Fn&& fn) const {
    fn(one.clusters);
    if (const std::string* name = rds_name_of(one, resources_)) fn_of_table(*name, fn);
  }
  template <typename Fn>
  void fn_of_table(const std::string& name, Fn&& fn) const {
    const auto it = resources_.routes.find(name);
    if (it != resources_.routes.end() && it->second.active != nullptr)
      fn(it->second.active->clusters);
  }

  const Resources& resources_;
  mutable std::optional<std::unordered_set<std::string_view>> of_file_;  // once one was looked for
};

}  // namespace pillion
