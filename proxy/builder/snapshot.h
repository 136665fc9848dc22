#pragma once
// Snapshot: a whole configuration, compiled: an index of shared, individually immutable resources
// (design section 6).  Made by the builder, diffed by control, applied by workers.

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/builder/resources.h"
#include "proxy/builder/runtime_layers.h"
#include "proxy/config/config_source.h"
#include "proxy/config/document.h"
#include "proxy/core/listener_config.h"
#include "proxy/io/address.h"
#include "proxy/match/string.h"
#include "proxy/stats/exposition.h"
#include "proxy/tls/context_slot.h"
#include "proxy/upstream/cluster_config.h"
#include "xds/ads.h"

namespace pillion {

// dynamic_resources: what a control plane is asked for, and how it is reached.
struct DynamicConfig {
  bool has_ads = false;
  config::Located<std::string> cluster;           // must be one of the file's
  config::Located<std::string> failover_cluster;  // likewise; empty: there is none
  xds::AdsOptions ads;
  std::optional<config::ConfigSource> cds;        // where clusters come from; none: nowhere
  std::optional<config::ConfigSource> lds;        // listeners likewise
  std::optional<config::GrpcService> load_stats;  // who is told of load
};

// The fields of the bootstrap beside its resources.  Not reloadable, but for `stats`.
struct BootstrapConfig {
  std::string node_id;
  std::string node_cluster;
  std::string node_zone;
  const config::Value* node = nullptr;  // in the document
  std::optional<io::Address> admin;     // none: no admin listener
  stats::ExpositionOptions stats;       // stats_config: matcher and fixed tags
  RuntimeLayersPtr runtime_layers;
  DynamicConfig dynamic;
  // Of what is read at the start only.
  uint64_t dynamic_hash = 0;
  uint64_t admin_hash = 0;
  uint64_t node_hash = 0;
  uint64_t stats_config_hash = 0;
  uint64_t overload_manager_hash = 0;
  std::vector<match::StringMatcher> admin_allowed;  // allow_paths; empty: all pages
  uint64_t max_downstream_connections = 0;          // overload_manager; 0: as descriptors allow
  bool watches_turns = false;                       // enable_dispatcher_stats
};

// What is in force of one kind: a view of Resources, which outlive it.  Those of the file in its
// order, then those of a control plane by name; names are unique.
template <typename Compiled>
class InForce {
 public:
  using Config = decltype(Compiled::config);

  class const_iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = Config;
    using difference_type = std::ptrdiff_t;
    using pointer = const Config*;
    using reference = const Config&;

    const_iterator() = default;
    reference operator*() const { return piece().active->config; }
    pointer operator->() const { return &piece().active->config; }
    const_iterator& operator++() {
      step();
      skip();
      return *this;
    }
    const_iterator operator++(int) {
      const const_iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const const_iterator& a, const const_iterator& b) {
      return a.of_file_ == b.of_file_ && a.dynamic_ == b.dynamic_;
    }

   private:
    friend class InForce;
    using Dynamic = typename Pieces<Compiled>::const_iterator;
    const_iterator(const InForce& owner, size_t of_file, Dynamic dynamic)
        : owner_(&owner), of_file_(of_file), dynamic_(dynamic) {
      skip();
    }
    [[nodiscard]] bool is_of_file() const { return of_file_ < owner_->file_->size(); }
    [[nodiscard]] const Piece<Compiled>& piece() const {
      return is_of_file() ? (*owner_->file_)[of_file_] : dynamic_->second;
    }
    [[nodiscard]] bool is_at_end() const {
      return !is_of_file() && dynamic_ == owner_->dynamic_->end();
    }
    void step() {
      if (is_of_file()) {
        ++of_file_;
      } else {
        ++dynamic_;
      }
    }
    void skip() {
      while (!is_at_end() && piece().active == nullptr) step();
    }

    const InForce* owner_ = nullptr;
    size_t of_file_ = 0;
    Dynamic dynamic_;
  };
  using iterator = const_iterator;
  using value_type = Config;

  InForce() = default;
  InForce(const std::vector<Piece<Compiled>>& file, const Pieces<Compiled>& dynamic)
      : file_(&file), dynamic_(&dynamic) {}

  [[nodiscard]] const_iterator begin() const {
    return file_ == nullptr ? const_iterator() : const_iterator(*this, 0, dynamic_->begin());
  }
  [[nodiscard]] const_iterator end() const {
    return file_ == nullptr ? const_iterator()
                            : const_iterator(*this, file_->size(), dynamic_->end());
  }
  // Both count.
  [[nodiscard]] size_t size() const { return static_cast<size_t>(std::distance(begin(), end())); }
  [[nodiscard]] const Config& operator[](size_t at) const {
    return *std::next(begin(), static_cast<std::ptrdiff_t>(at));
  }
  [[nodiscard]] bool empty() const { return begin() == end(); }
  [[nodiscard]] const Config& front() const { return *begin(); }
  // Null if there is none.
  [[nodiscard]] Config find(std::string_view name) const {
    if (file_ == nullptr) return nullptr;
    const auto it = dynamic_->find(name);
    if (it != dynamic_->end() && it->second.active != nullptr) return it->second.active->config;
    for (const Piece<Compiled>& piece : *file_)
      if (piece.active != nullptr && piece.active->config->name == name)
        return piece.active->config;
    return nullptr;
  }

 private:
  const std::vector<Piece<Compiled>>* file_ = nullptr;
  const Pieces<Compiled>* dynamic_ = nullptr;
};

struct Snapshot {
  BootstrapConfig bootstrap;
  InForce<CompiledListener> listeners;         // of `resources`
  InForce<CompiledCluster> clusters;           // of `resources`
  std::shared_ptr<const Resources> resources;  // set by use_resources()
  // The file, in Envoy's schema; keeps every `const config::Value*` alive.
  std::shared_ptr<const config::Document> document;
  // Of every TLS context in use, and of those of what waits.
  std::vector<std::shared_ptr<const tls::ContextSlot>> tls_slots;
  std::set<std::string> files;  // that it names and that were read: their changes are its own
  config::UnknownFieldMap unknown_fields;  // of the file, with --allow-unknown-static-fields

  void use_resources(std::shared_ptr<const Resources> now) {
    resources = std::move(now);
    listeners = {resources->file_listeners, resources->listeners};
    clusters = {resources->file_clusters, resources->clusters};
  }
};

}  // namespace pillion
