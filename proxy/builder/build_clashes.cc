// Two listeners must not claim one address, nor any two pieces one name for two sources: who comes
// second is refused, and goes back to what it was.
#include <utility>

#include "proxy/builder/build.h"
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

// Only now it is known who has left an address.  One that goes back may need its former one,
// which another has taken: again, until nobody has to.
void Build::refuse_clashes(const xds::Response& response, const Pieces<CompiledListener>& before,
                           Names changed, std::string& wrong) {
  while (true) {
    const std::string refused = refuse_clash(response, before, changed, wrong);
    if (refused.empty()) return;
    changed.erase(refused);
  }
}

// Takes back the first change that claims an address that another listener has, above all one
// that had it before; its name, or empty if there is none.
std::string Build::refuse_clash(const xds::Response& response,
                                const Pieces<CompiledListener>& before, const Names& changed,
                                std::string& wrong) {
  UsedAddresses used = addresses_of_file();
  for (const auto& [name, piece] : resources_->listeners)
    if (piece.newest != nullptr && !changed.contains(name)) used.take(*piece.newest->config);
  for (const std::string& name : changed) {
    const auto it = resources_->listeners.find(name);
    if (it == resources_->listeners.end() || it->second.newest == nullptr) continue;
    const CompiledListener& listener = *it->second.newest;
    const std::vector<UsedAddresses::Clash> clashes = used.take(*listener.config);
    if (clashes.empty()) continue;
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
    return name;
  }
  return {};
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

// What was taken back has the version of its time.
template <typename T>
void Build::refuse_second_sources(const xds::Response& response, Pieces<T>& pieces,
                                  const Pieces<T>& before, std::string& wrong) {
  if (!resources_->has_own_sources) return;
  while (const auto conflict = refuse_second_source(*resources_, before, response.version)) {
    Piece<T>& piece = pieces[conflict->name];
    piece.fix_version(version_of_all(pieces));
    piece.fix_active_version(version_of_all(pieces));
    note_conflict(*conflict, wrong);
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
