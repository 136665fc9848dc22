// Two listeners must not claim one address, nor any two pieces one name for two sources: who comes
// second is refused, and goes back to what it was.  So does a listener whose address the machine
// does not give.
#include <set>
#include <unordered_map>
#include <utility>

#include "proxy/builder/build.h"
#include "proxy/builder/listen_addresses.h"
#include "proxy/builder/source_claims.h"

namespace pillion {

using config::Errors;
using config::Node;

Names Build::changed_listeners(const Pieces<CompiledListener>& before) const {
  Names names;
  diff(before, resources_->listeners,
       [&names](const std::string& name, const auto* a, const auto* b) {
         const auto newest = [](const auto* piece) {
           return piece == nullptr ? nullptr : piece->newest.get();
         };
         if (newest(a) != newest(b)) names.insert(name);
       });
  return names;
}

// A change is taken back: the piece is what it was in `before`, and tells why.
void Build::take_back(const xds::Response& response, const Pieces<CompiledListener>& before,
                      const std::string& name, const std::vector<UsedAddresses::Clash>& clashes,
                      std::string& wrong) {
  const CompiledListener& listener = *resources_->listeners.find(name)->second.newest;
  Errors errors;
  const OpenOrigin origin = open_origin(listener.origin, name, errors);
  UsedAddresses::report(clashes, Node(origin.value, &errors));
  const auto former = before.find(name);
  Piece<CompiledListener> back;
  if (former != before.end()) back = former->second;
  back.fix_version(resources_->listeners_version);
  back.fix_active_version(resources_->listeners_version);
  wrong += refuse(response, name, back, errors.to_string());
  resources_->listeners[name] = std::move(back);
}

// The machine does not let a listener have its address.  One that has the same sockets as the one
// that was accepted before it is not asked again: it may wait for them (listen_addresses.h).
void Build::refuse_unbindable(const xds::Response& response, const Pieces<CompiledListener>& before,
                              Names& changed, std::string& wrong) {
  if (job_.ours == nullptr) return;
  std::erase_if(changed, [&](const std::string& name) {
    const auto it = resources_->listeners.find(name);
    if (it == resources_->listeners.end() || it->second.newest == nullptr) return false;
    const core::ListenerConfig& config = *it->second.newest->config;
    const auto former = before.find(name);
    const bool has_same_sockets = former != before.end() && former->second.newest != nullptr &&
                                  former->second.newest->config->socket_hash == config.socket_hash;
    if (has_same_sockets || is_stopped(job_.stopped_listeners, config)) return false;
    const auto clashes = try_addresses(config, *job_.ours);
    if (clashes.empty()) return false;
    take_back(response, before, name, clashes, wrong);
    return true;
  });
}

// Takes back each change that claims an address that another listener has, above all one that had
// it before.  Only now it is known who has left an address; one that goes back needs its former
// one, so that who has taken that goes back as well.
void Build::refuse_clashes(const xds::Response& response, const Pieces<CompiledListener>& before,
                           const Names& changed, std::string& wrong) {
  UsedAddresses used = addresses_of_file();
  for (const auto& [name, piece] : resources_->listeners)
    if (piece.newest != nullptr && !changed.contains(name)) used.take(*piece.newest->config);
  UsedAddresses::Listeners accepted;
  std::set<std::string> losers;
  const auto try_one = [&](const std::string& name) {
    const auto it = resources_->listeners.find(name);
    if (it == resources_->listeners.end() || it->second.newest == nullptr) return;
    const std::shared_ptr<const core::ListenerConfig> config = it->second.newest->config;
    used.drop(*config);
    const auto clashes = used.take(*config);
    if (clashes.empty()) {
      accepted.insert(config.get());
      return;
    }
    used.drop(*config);
    accepted.erase(config.get());
    take_back(response, before, name, clashes, wrong);
    const auto former = before.find(name);
    if (former == before.end() || former->second.newest == nullptr) return;
    for (const auto* loser : used.take_from(accepted, *former->second.newest->config))
      losers.insert(loser->name);
  };
  for (const std::string& name : changed) {
    try_one(name);
    while (!losers.empty()) try_one(losers.extract(losers.begin()).value());
  }
}

UsedAddresses Build::addresses_of_file() const {
  UsedAddresses used;
  const auto& admin = out_->bootstrap.admin;
  if (admin) used.add(admin->to_string(), "admin");
  for (const auto& piece : resources_->file_listeners) used.take(*piece.newest->config);
  return used;
}

// A new listener of the file would share the address of one of the control plane, in silence.
void Build::refuse_addresses_of_others(Errors& errors) const {
  UsedAddresses used;
  for (const auto& [name, piece] : resources_->listeners)
    for (const auto& end : {piece.newest, piece.active})
      if (end != nullptr) used.take(*end->config);
  for (const auto& piece : resources_->file_listeners)
    UsedAddresses::report(used.take(*piece.newest->config),
                          Node(piece.newest->origin.value, &errors));
}

// As refuse_unbindable(): what the file said before was accepted.
void Build::refuse_unbindable_of_file(Errors& errors) const {
  if (job_.ours == nullptr || job_.previous == nullptr) return;
  std::unordered_map<std::string_view, uint64_t> accepted;
  for (const auto& piece : job_.previous->resources->file_listeners)
    accepted.emplace(piece.newest->config->name, piece.newest->config->socket_hash);
  for (const auto& piece : resources_->file_listeners) {
    const core::ListenerConfig& config = *piece.newest->config;
    const auto former = accepted.find(config.name);
    if (former != accepted.end() && former->second == config.socket_hash) continue;
    if (is_stopped(job_.stopped_listeners, config)) continue;
    UsedAddresses::report(try_addresses(config, *job_.ours),
                          Node(piece.newest->origin.value, &errors));
  }
}

// What was taken back has the version of its time.
template <typename T>
void Build::refuse_second_sources(const xds::Response& response, Pieces<T>& pieces,
                                  const Pieces<T>& before, std::string& wrong) {
  if (!resources_->has_own_sources) return;
  for (const SecondClaim& conflict :
       pillion::refuse_second_sources(*resources_, before, response.version)) {
    Piece<T>& piece = pieces[conflict.name];
    piece.fix_version(version_of_all(pieces));
    piece.fix_active_version(version_of_all(pieces));
    note_conflict(conflict, wrong);
  }
}
template void Build::refuse_second_sources(const xds::Response&, Pieces<CompiledCluster>&,
                                           const Pieces<CompiledCluster>&, std::string&);
template void Build::refuse_second_sources(const xds::Response&, Pieces<CompiledListener>&,
                                           const Pieces<CompiledListener>&, std::string&);
template void Build::refuse_second_sources(const xds::Response&, Pieces<CompiledRoutes>&,
                                           const Pieces<CompiledRoutes>&, std::string&);

// The file may bring a name that a control plane has another source for.
void Build::refuse_sources_of_others(Errors& errors) const {
  if (!resources_->has_own_sources) return;
  SourceClaims clusters = claims_of_clusters(*resources_);
  for (const auto& piece : resources_->file_clusters)
    claim_sources(clusters, *piece.newest, Node(piece.newest->origin.value, &errors));
  SourceClaims listeners = claims_of_listeners(*resources_);
  for (const auto& piece : resources_->file_listeners)
    claim_sources(listeners, *piece.newest->config, Node(piece.newest->origin.value, &errors));
}

}  // namespace pillion
