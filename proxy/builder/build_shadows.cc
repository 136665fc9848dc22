// Names that the file and a control plane both have.  That of the file stays, as in Envoy, and what
// the control plane says stands back until the file has the name no more: by delta it is said once.
#include <utility>

#include "proxy/builder/build.h"
#include "proxy/builder/keep_same.h"

namespace pillion {
namespace {

// Of the file before, what served under this name.
template <typename T>
std::shared_ptr<const T> active_of(const std::vector<Piece<T>>& list, std::string_view name) {
  for (const Piece<T>& piece : list)
    if (piece.newest->config->name == name) return piece.active;
  return nullptr;
}

// Those that were taken back have their predecessor, which is none, and stay.
template <typename T>
void forget_those_that_left(const Names& names, const Pieces<T>& pieces, Pieces<T>& shadowed) {
  for (const std::string& name : names) {
    const bool was_refused = shadowed.find(name)->second.newest == nullptr;
    if (was_refused || pieces.find(name)->second.newest != nullptr) shadowed.erase(name);
  }
}

}  // namespace

// After the file was read.
void Build::move_shadows() {
  static const Resources kNone;
  const Resources& before = job_.previous == nullptr ? kNone : *job_.previous->resources;
  Resources& now = *resources_;
  hide(now.clusters, now.file_clusters, now.shadowed_clusters);
  hide(now.listeners, now.file_listeners, now.shadowed_listeners);
  const Pieces<CompiledCluster> clusters = now.clusters;
  const Pieces<CompiledListener> listeners = now.listeners;
  const Names back_clusters =
      unhide(now.clusters, now.file_clusters, before.file_clusters, now.shadowed_clusters);
  const Names back_listeners =
      unhide(now.listeners, now.file_listeners, before.file_listeners, now.shadowed_listeners);
  // The file may have given an address of its former listener to another one.
  for (const std::string& name : back_listeners) {
    const auto& active = now.listeners.find(name)->second.active;
    UsedAddresses used = addresses_of_file();
    if (active != nullptr && !used.take(*active->config).empty())
      now.listeners[name].active = nullptr;
  }
  // What others claim meanwhile stays theirs: nobody can be told now, but the log and those who
  // look at error_state.  It stays where it is, for the next time.
  std::string wrong;
  xds::Response none;
  none.version = now.clusters_version;
  if (!back_clusters.empty()) refuse_second_sources(none, now.clusters, clusters, wrong);
  none.version = now.listeners_version;
  if (!back_listeners.empty()) {
    refuse_clashes(none, listeners, back_listeners, wrong);
    refuse_second_sources(none, now.listeners, listeners, wrong);
  }
  warnings += wrong;
  forget_those_that_left(back_clusters, now.clusters, now.shadowed_clusters);
  forget_those_that_left(back_listeners, now.listeners, now.shadowed_listeners);
}

template <typename T>
void Build::hide(Pieces<T>& pieces, const std::vector<Piece<T>>& of_file, Pieces<T>& shadowed) {
  for (const std::string_view name : names_of(of_file)) {
    const auto it = pieces.find(name);
    if (it == pieces.end()) continue;
    if (it->second.newest != nullptr) {
      Piece<T> piece = it->second;
      piece.active = nullptr;
      piece.active_version = {};
      piece.lingers_until = piece.holds_until = {};
      shadowed[std::string(name)] = std::move(piece);
    }
    pieces.erase(name);
  }
}

// Those that the file has no more, as if they were said now; the names.  What the file had under
// that name serves until what they need is there.
template <typename T>
Names Build::unhide(Pieces<T>& pieces, const std::vector<Piece<T>>& of_file,
                    const std::vector<Piece<T>>& of_file_before, const Pieces<T>& shadowed) {
  Names names;
  if (shadowed.empty()) return names;
  const std::set<std::string_view> hidden = names_of(of_file);
  for (const auto& [name, known] : shadowed) {
    if (hidden.contains(name)) continue;
    Piece<T> piece = known;
    if (piece.newest != nullptr) {  // else it was refused whenever it was said
      compile_piece_again(pieces, name, piece, unknown_);
      piece.active = active_of(of_file_before, name);
      piece.newest = keep_same(piece.newest, piece);
    }
    pieces[name] = std::move(piece);
    mark(pieces, name);
    names.insert(name);
  }
  return names;
}

}  // namespace pillion
