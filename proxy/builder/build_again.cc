// What is compiled again though nobody said it again: a value of the runtime or a file that it
// names has changed.
#include <algorithm>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/builder/build.h"
#include "proxy/builder/keep_same.h"
#include "proxy/upstream/parse.h"

namespace pillion {

using config::Errors;
using config::Node;
using config::Severity;

namespace {

using Keys = std::vector<std::string>;

template <typename T>
bool names_any(const Piece<T>& piece, const Keys& keys) {
  return piece.notes &&
         std::ranges::any_of(piece.notes->runtime_keys, [&keys](const std::string& key) {
           return std::ranges::binary_search(keys, key);
         });
}

// Of all clusters also those that no field names.
bool names_any(const Piece<CompiledCluster>& piece, const Keys& keys) {
  const auto& cluster = piece.newest != nullptr ? piece.newest : piece.active;
  if (cluster == nullptr) return false;
  return names_any<CompiledCluster>(piece, keys) ||
         std::ranges::any_of(keys, [&](const std::string& key) {
           return upstream::is_cluster_key(key, cluster->config->name);
         });
}

// `adds`: beside what its other end needs.
template <typename T>
void note_both(Piece<T>& piece, Errors& errors, bool adds) {
  if (!adds || !piece.notes) return note(piece, errors);
  piece.notes->files.insert(errors.files().begin(), errors.files().end());
  for (std::string& key : errors.take_runtime_keys())
    piece.notes->runtime_keys.push_back(std::move(key));
}

}  // namespace

// Files that pieces name (certificates) and values of the runtime may have changed.  True if any
// piece names some.
template <typename T>
bool Build::compile_again(Pieces<T>& pieces, const Keys& keys, bool with_files) {
  std::vector<std::string> names;
  for (const auto& [name, piece] : pieces) {
    const bool names_files = piece.notes && !piece.notes->files.empty();
    if ((with_files && names_files) || (!keys.empty() && names_any(piece, keys)))
      names.push_back(name);
  }
  for (const std::string& name : names) {
    if (is_cancelled()) break;
    Piece<T> piece = pieces.find(name)->second;
    compile_piece_again(pieces, name, piece, unknown_);
    pieces[name] = std::move(piece);
    mark(pieces, name);
  }
  return !names.empty();
}

// One that is wrong now stays as it was.
template <typename T>
void Build::compile_piece_again(const Pieces<T>& kind, std::string_view name, Piece<T>& piece,
                                config::UnknownFields unknown) {
  const bool is_active = !piece.waits() && piece.active != nullptr;
  const Piece<T> former = piece;
  for (std::shared_ptr<const T>* end : {&piece.newest, &piece.active}) {
    if (*end == nullptr || (is_active && end == &piece.active)) continue;
    Errors errors(unknown);
    errors.use(*resources_->runtime);
    const OpenOrigin open = open_origin((*end)->origin, name, errors);
    std::shared_ptr<const T> again;
    if (errors.ok()) again = compile(kind, Node(open.value, &errors), (*end)->origin);
    unusable_runtime_values += errors.unusable_runtime_values();
    warnings += errors.to_string(Severity::kWarning);
    if (errors.ok()) {
      *end = keep_same(std::move(again), former);
      note_both(piece, errors, end == &piece.active && piece.newest != nullptr);
    } else {
      warnings += errors.to_string();
    }
  }
  if (is_active && piece.newest != nullptr) piece.active = piece.newest;
}

template void Build::compile_piece_again(const Pieces<CompiledCluster>&, std::string_view,
                                         Piece<CompiledCluster>&, config::UnknownFields);
template void Build::compile_piece_again(const Pieces<CompiledListener>&, std::string_view,
                                         Piece<CompiledListener>&, config::UnknownFields);

// Of what they use by name something else may be in force than before.
void Build::look_at_all_listeners() {
  for (const auto& item : resources_->listeners) resources_->unsettled.listeners.insert(item.first);
  resources_->unsettled.virtual_hosts = true;
  resources_->unsettled.scopes = true;
}

// The layers have changed: what names a key whose value is another one now is compiled again.
void Build::renew_runtime() {
  auto now = std::make_shared<const config::Runtime>(
      merge_layers(*out_->bootstrap.runtime_layers, *resources_));
  const Keys keys = now->changes_from(*resources_->runtime);
  resources_->runtime = std::move(now);
  if (keys.empty()) return;
  compile_file_again(resources_->file_clusters, resources_->clusters, keys);
  compile_again(resources_->clusters, keys, false);
  bool are_used = compile_again(resources_->routes, keys, false);
  are_used |= compile_again(resources_->virtual_hosts, keys, false);
  are_used |= compile_again(resources_->scopes, keys, false);
  are_used |= compile_again(resources_->extensions, keys, false);
  compile_file_again(resources_->file_listeners, resources_->listeners, keys);
  compile_again(resources_->listeners, keys, false);
  if (are_used) look_at_all_listeners();
}
template <typename T>
void Build::compile_file_again(std::vector<Piece<T>>& list, const Pieces<T>& kind,
                               const Keys& keys) {
  for (Piece<T>& piece : list) {
    if (is_cancelled()) return;
    if (!names_any(piece, keys)) continue;
    const std::string name = piece.newest->config->name;
    compile_piece_again(kind, name, piece, options_.unknown_fields());
  }
}

// After the file was read: what pieces of the control plane name may be other files now.
void Build::compile_all_again(const Keys& keys) {
  compile_again(resources_->clusters, keys, true);
  compile_again(resources_->routes, keys, true);
  compile_again(resources_->virtual_hosts, keys, true);
  compile_again(resources_->scopes, keys, true);
  compile_again(resources_->extensions, keys, true);
  compile_again(resources_->listeners, keys, true);
  look_at_all_listeners();
}

}  // namespace pillion
