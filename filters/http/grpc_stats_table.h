#pragma once
// GrpcTable: the rows of the grpc_stats filter on one worker: for (cluster, service, method) where
// it counts; without service and method, of all calls to the cluster that have no row of their own.
//
// Rows are found without a lock and without memory; made when something is called for the first
// time.  An Entry stays where it is while somebody uses it; when its cluster is gone, tidy() frees
// it.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "proxy/stats/registry.h"

namespace pillion::filters {

struct GrpcMethod {
  std::string_view service, method;

  bool operator==(const GrpcMethod&) const = default;
};

// "/package.Service/Method?x": what is called; both empty if the path is no such.
GrpcMethod grpc_method(std::string_view path) noexcept;

// May stand in the name of a metric as it is: letters, digits, "_" and "-", in services dots too.
bool is_plain(const GrpcMethod& method) noexcept;

struct GrpcKey {
  std::string_view cluster;
  GrpcMethod method;
};

class GrpcTable {
 public:
  struct Entry {
    stats::BlockRef<stats::GrpcStats> stats;
    uint32_t users = 0;  // exchanges that hold it
  };

  GrpcTable(stats::Registry& registry, stats::Writer writer)
      : registry_(registry), writer_(writer) {}

  // Null if there is none yet.
  [[nodiscard]] Entry* find(const GrpcKey& key) {
    const auto it = entries_.find(key);
    return it == entries_.end() ? nullptr : &it->second;
  }
  // There must be none yet.
  Entry& make(const GrpcKey& key, bool replace_dots);
  // To be called before a row is made, or where there is no place for one: each 64th call frees the
  // rows that nobody uses of clusters that are gone.  `is_there(cluster)`: it still exists.
  template <typename IsThere>
  void tidy(IsThere&& is_there) {
    if (++calls_ % kTidyAfter != 0) return;
    std::erase_if(entries_, [&](const auto& row) {
      const bool is_dead = row.second.users == 0 && !is_there(std::string_view(row.first.cluster));
      if (is_dead && !row.first.method.empty()) --methods_;
      return is_dead;
    });
  }
  // Rows of methods.
  [[nodiscard]] size_t methods() const noexcept { return methods_; }

 private:
  // So rows of clusters that are gone do not add up where clusters come and go.
  static constexpr uint32_t kTidyAfter = 64;

  struct Owned {
    std::string cluster, service, method;
    [[nodiscard]] GrpcKey key() const { return {cluster, {service, method}}; }
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(const GrpcKey& key) const noexcept;
    size_t operator()(const Owned& owned) const noexcept { return (*this)(owned.key()); }
  };
  struct Equal {
    using is_transparent = void;
    static bool same(const GrpcKey& a, const GrpcKey& b) noexcept {
      return a.cluster == b.cluster && a.method == b.method;
    }
    bool operator()(const Owned& a, const GrpcKey& b) const noexcept { return same(a.key(), b); }
    bool operator()(const GrpcKey& a, const Owned& b) const noexcept { return same(a, b.key()); }
    bool operator()(const Owned& a, const Owned& b) const noexcept {
      return same(a.key(), b.key());
    }
  };

  stats::Registry& registry_;
  stats::Writer writer_;
  uint32_t calls_ = 0;
  size_t methods_ = 0;
  std::unordered_map<Owned, Entry, Hash, Equal> entries_;
};

}  // namespace pillion::filters
