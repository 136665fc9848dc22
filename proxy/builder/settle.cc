#include "proxy/builder/settle.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/builder/extensions.h"
#include "proxy/builder/listener_moves.h"
#include "proxy/builder/scoped_routes.h"
#include "proxy/builder/settle_clusters.h"
#include "proxy/builder/unknown_clusters.h"
#include "proxy/builder/virtual_hosts.h"
#include "proxy/config/suggest.h"
#include "proxy/core/listener_routes.h"

namespace pillion {
namespace {

class Settling {
 public:
  Settling(Resources& resources, Compiler& compiler, const Settled& settled)
      : resources_(resources),
        compiler_(compiler),
        settled_(settled),
        clusters_(resources, settled),
        unknown_(resources) {}

  void run() {
    resources_.next_deadline = {};
    clusters_.run();
    const bool have_names_changed = resources_.wanted_routes == nullptr;
    if (have_names_changed) drop_unwanted_routes();
    settle_routes();
    settle_virtual_hosts();
    settle_extensions();
    settle_all_scopes();
    settle_listeners();
    if (have_names_changed || resources_.wanted_routes == nullptr) drop_unwanted_extensions();
    clusters_.end_lingering();
  }

 private:
  [[nodiscard]] bool names_warming(const std::set<std::string>& clusters) const {
    return clusters_.names_warming(clusters);
  }

  // Does the piece, which takes the place of something, wait for the word about a cluster?
  template <typename T>
  [[nodiscard]] bool awaits_word(const Piece<T>& piece) const {
    const bool is_over = piece.holds_until != Instant{} && settled_.now >= piece.holds_until;
    return settled_.asks_for_clusters && !is_over && unknown_.named_by(piece) != nullptr;
  }
  template <typename T>
  void hold(Piece<T>& piece) {
    if (piece.holds_until == Instant{}) piece.holds_until = settled_.now + kAnnounceTime;
    clusters_.wake_at(piece.holds_until);
  }
  // All that it named was told of: others that a newer one names have their own time.
  template <typename T>
  [[nodiscard]] bool has_old_hold(const Piece<T>& piece) const {
    return piece.holds_until != Instant{} && unknown_.named_by(piece) == nullptr;
  }

  template <typename T>
  [[nodiscard]] bool awaits_clusters(Pieces<T>& pieces, const std::string& name) {
    if (has_old_hold(pieces.find(name)->second)) pieces[name].holds_until = {};
    const Piece<T>& piece = pieces.find(name)->second;
    if (names_warming(piece.newest->clusters)) return true;
    if (!awaits_word(piece)) {
      tell_what_was_awaited(piece, name);
      return false;
    }
    hold(pieces[name]);
    return true;
  }
  // It takes effect without.
  template <typename T>
  void tell_what_was_awaited(const Piece<T>& piece, std::string_view name) const {
    if (piece.holds_until == Instant{} || settled_.warnings == nullptr) return;
    const std::string* const cluster = unknown_.named_by(piece);
    if (cluster == nullptr) return;
    *settled_.warnings += str(
        '"', config::printable(name), "\": warning: takes effect, and the cluster \"",
        config::printable(*cluster), "\" that it names is not there; CDS has not told of it in ",
        kAnnounceTime / std::chrono::seconds(1), " s: requests for it are answered by 503\n");
  }

  // What nobody asks for any more goes.
  void drop_unwanted_routes() {
    resources_.wanted_routes = std::make_shared<const WantedNames>(wanted_routes(resources_));
    erase_if(resources_.routes, [this](const auto& item) {
      const bool is_out = !resources_.wanted_routes->contains(item.first);
      if (is_out) changed_tables_.insert(item.first);
      return is_out;
    });
  }
  void drop_unwanted_extensions() {
    if (resources_.extensions.empty()) return;
    const WantedNames wanted = wanted_extensions(resources_);
    erase_if(resources_.extensions,
             [&wanted](const auto& item) { return !wanted.contains(item.first); });
  }

  // They take effect when they can.
  void settle_routes() {
    std::erase_if(resources_.unsettled.routes, [this](const std::string& name) {
      const auto it = resources_.routes.find(name);
      if (it == resources_.routes.end() || it->second.newest == nullptr) return true;
      if (!it->second.waits()) return true;
      const CompiledRoutes& newest = *it->second.newest;
      if (awaits_clusters(resources_.routes, name)) return false;
      // The first requests shall find the hosts that the server thinks we need.
      const bool lacks_hosts = newest.table->has_vhds() && it->second.active == nullptr &&
                               !resources_.has_virtual_hosts && !settled_.given_up_virtual_hosts;
      if (lacks_hosts) return false;
      resources_.routes[name].activate();
      changed_tables_.insert(name);
      return true;
    });
  }

  void settle_virtual_hosts() {
    if (!resources_.unsettled.virtual_hosts && changed_tables_.empty()) return;
    Pieces<CompiledVirtualHost>& hosts = resources_.virtual_hosts;
    // Hosts may come before their table; without any table nobody asks for hosts.
    const bool has_any = !hosts.empty() || resources_.has_virtual_hosts;
    if (has_any && !has_vhds(resources_)) {
      hosts.clear();
      resources_.has_virtual_hosts = false;
    }
    erase_if(hosts, [](const auto& item) { return item.second.is_gone(); });
    std::vector<std::string> changed;
    for (const auto& [name, piece] : hosts)
      if (piece.waits()) changed.push_back(name);
    bool waits = false;
    for (const std::string& name : changed) {
      if (awaits_clusters(hosts, name)) {
        waits = true;
      } else {
        hosts[name].activate();
      }
    }
    resources_.unsettled.virtual_hosts = waits;
    join_virtual_hosts(resources_, changed_tables_);
  }

  void settle_extensions() {
    std::erase_if(resources_.unsettled.extensions, [this](const std::string& name) {
      const auto it = resources_.extensions.find(name);
      if (it == resources_.extensions.end()) return true;
      if (it->second.newest == nullptr) {
        resources_.extensions[name].active = nullptr;  // a delta has removed it
      } else if (it->second.waits()) {
        if (awaits_clusters(resources_.extensions, name)) return false;
        resources_.extensions[name].activate();
      }
      changed_extensions_.insert(name);
      return true;
    });
  }

  [[nodiscard]] bool has_table(const std::string& name) const {
    return compiler_.table(name) != nullptr || settled_.given_up_routes.contains(name);
  }

  void settle_all_scopes() {
    if (!resources_.unsettled.scopes && changed_tables_.empty()) return;
    settle_scopes(
        resources_, [this](const std::string& name) { return has_table(name); },
        [this](const std::string& name) { return awaits_clusters(resources_.scopes, name); });
    const auto before = resources_.scope_table;
    index_scopes(resources_, [this](const std::string& name) { return compiler_.table(name); });
    have_scopes_changed_ = resources_.scope_table != before;
  }

  // SRDS has answered, and there are the tables that scopes name; where only a newer one lacks its
  // table the older one serves.
  [[nodiscard]] bool has_all_scopes() const {
    if (!resources_.has_scopes) return settled_.given_up_scopes;
    return std::ranges::all_of(resources_.scopes, [this](const auto& item) {
      const Piece<CompiledScope>& piece = item.second;
      const bool is_served = piece.newest == nullptr || piece.active != nullptr;
      const std::string* name = is_served ? nullptr : rds_name_of(*piece.newest, resources_);
      return name == nullptr || has_table(*name);
    });
  }

  // Is it one of this vector?
  [[nodiscard]] bool is_of_file(const Piece<CompiledListener>& piece) const {
    const std::vector<Piece<CompiledListener>>& all = resources_.file_listeners;
    const std::less<const Piece<CompiledListener>*> is_before;
    return !is_before(&piece, all.data()) && is_before(&piece, all.data() + all.size());
  }

  // Has it all it needs?
  [[nodiscard]] bool may_start(const Piece<CompiledListener>& piece) const {
    const CompiledListener& listener = *piece.newest;
    if (without_addresses_.contains(listener.config->name)) return false;
    if (begins_with_scopes(piece) && !has_all_scopes()) return false;
    if (!is_of_file(piece) && awaits_word(piece)) return false;
    return !names_warming(listener.clusters) &&
           std::ranges::all_of(listener.extensions,
                               [this](const auto& item) {
                                 return !item.second.must_wait ||
                                        compiler_.extension(item.first) != nullptr ||
                                        settled_.given_up_extensions.contains(item.first);
                               }) &&
           std::ranges::all_of(listener.tables, [this](const auto& item) {
             return item.second.on_demand || has_table(item.first);
           });
  }

  [[nodiscard]] bool has_scopes_in_force(const CompiledListener& listener) const {
    return !listener.srds || resources_.scope_table == nullptr ||
           listener.srds->scopes == resources_.scope_table;
  }

  // With the tables that are in force now; itself if it has them already.
  std::shared_ptr<const CompiledListener> with_tables(
      const std::shared_ptr<const CompiledListener>& listener) {
    const bool is_up_to_date = std::ranges::all_of(listener->tables, [this](const auto& item) {
      return compiler_.table(item.first) == item.second.table;
    });
    if (is_up_to_date && has_scopes_in_force(*listener)) return listener;
    auto again = std::make_shared<CompiledListener>(*listener);
    core::RouteTables tables;
    for (auto& [name, entry] : again->tables) tables[name] = entry.table = compiler_.table(name);
    if (again->srds && resources_.scope_table != nullptr)
      again->srds->scopes = resources_.scope_table;
    again->config = core::with_route_tables(*listener->config, tables, resources_.scope_table);
    return again;
  }

  [[nodiscard]] bool lacks_secrets(const Piece<CompiledListener>& piece) const {
    return piece.waits() && !has_secrets(*piece.newest->config, settled_.secrets) &&
           !(settled_.takes_file_whole && is_of_file(piece));
  }

  void settle_listener(Piece<CompiledListener>& piece) {
    const auto newest = piece.newest;
    const auto active = piece.active;
    if (has_old_hold(piece)) piece.holds_until = {};
    if (piece.newest == nullptr) {
      piece.active = nullptr;
    } else if (!lacks_secrets(piece) && may_start(piece)) {
      if (!is_of_file(piece)) tell_what_was_awaited(piece, piece.newest->config->name);
      piece.newest = compiler_.with_extensions(with_tables(piece.newest));
      piece.activate();
    } else if (piece.active != nullptr) {
      piece.active = compiler_.with_extensions(with_tables(piece.active));
      ++resources_.changing_listeners;
      if (!is_of_file(piece) && awaits_word(piece)) hold(piece);
    } else if (!without_addresses_.contains(piece.newest->config->name)) {
      ++resources_.warming_listeners;  // an address may never come, and the start not wait for it
    }
    if (piece.newest != newest || piece.active != active) resources_.wanted_routes = nullptr;
  }

  [[nodiscard]] bool uses_changed(const Piece<CompiledListener>& piece) const {
    const auto is_any_in = [](const auto& changed, const auto& used) {
      return std::ranges::any_of(changed, [&](const auto& name) { return used.contains(name); });
    };
    const auto uses_it = [&](const std::shared_ptr<const CompiledListener>& end) {
      return end != nullptr && (is_any_in(changed_tables_, end->tables) ||
                                is_any_in(changed_extensions_, end->extensions) ||
                                (have_scopes_changed_ && end->srds));
    };
    return uses_it(piece.newest) || (piece.active != piece.newest && uses_it(piece.active));
  }

  void settle_listeners() {
    static const HeldListeners kNone;
    resources_.warming_listeners = resources_.changing_listeners = 0;
    without_addresses_ = without_addresses(
        resources_, settled_.held_listeners == nullptr ? kNone : *settled_.held_listeners,
        [this](const Piece<CompiledListener>& piece) {
          return !lacks_secrets(piece) && may_start(piece);
        });
    for (auto& piece : resources_.file_listeners) settle_listener(piece);
    std::set<std::string>& unsettled = resources_.unsettled.listeners;
    if (!changed_tables_.empty() || !changed_extensions_.empty() || have_scopes_changed_) {
      for (const auto& [name, piece] : resources_.listeners)
        if (uses_changed(piece)) unsettled.insert(name);
    }
    std::erase_if(unsettled, [this](const std::string& name) {
      if (!resources_.listeners.contains(name)) return true;
      Piece<CompiledListener>& piece = resources_.listeners[name];
      settle_listener(piece);
      const bool waits = piece.waits();
      if (piece.is_gone()) resources_.listeners.erase(name);
      return !waits;
    });
  }

  Resources& resources_;
  Compiler& compiler_;
  const Settled& settled_;
  ClusterSettling clusters_;
  UnknownClusters unknown_;
  // Of which another one is in force now:
  Names changed_tables_;
  Names changed_extensions_;
  Names without_addresses_;  // listeners
  bool have_scopes_changed_ = false;
};

}  // namespace

void settle(Resources& resources, Compiler& compiler, const Settled& settled) {
  Settling(resources, compiler, settled).run();
}

}  // namespace pillion
