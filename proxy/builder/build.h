#pragma once
// Build: one change of the configuration, from what came (the file, responses of a control plane)
// to the Snapshot.  Internal to the builder; lives for one run_build().
//
//   read_files() or keep_files()   ->   take(response)*  and  take_admin_values()   ->   finish()
//
// Once the job is cancelled each of these ends after the piece that it is at, and what there is by
// then is of no use to anybody.
//
// Its parts by file: build.cc the file and the end, build_kinds.cc what differs by the kind of a
// resource, build_take.cc what a response says, build_shadows.cc what has a name of the file,
// build_clashes.cc pieces that claim one address or one name, build_again.cc what is compiled again
// because a value of the runtime or a file has changed.

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "proxy/builder/builder.h"
#include "proxy/builder/claims.h"
#include "proxy/builder/compile.h"
#include "proxy/builder/resources.h"
#include "proxy/builder/used_addresses.h"
#include "proxy/config/node.h"

namespace pillion {

class Build {
 public:
  Build(const Options& options, const Sinks& sinks, const BuildJob& job);

  // False if the file was refused.
  bool read_files(config::Errors& errors);
  // Its file is the previous snapshot's.
  void keep_files();
  Answer take(const xds::Response& response);
  void take_admin_values(std::shared_ptr<const config::RuntimeValues> values);
  std::shared_ptr<const Snapshot> finish();

  std::string warnings;
  config::UnknownFieldMap unknown_fields;  // that were tolerated in what was taken
  uint64_t unusable_runtime_values = 0;

 private:
  // Sorted keys of the runtime.
  using Keys = std::vector<std::string>;

  // ---- build_kinds.cc: what differs by kind; the first parameter only says which ----

  std::shared_ptr<const CompiledCluster> compile(const Pieces<CompiledCluster>&,
                                                 const config::Node& node, Origin origin);
  std::shared_ptr<const CompiledRoutes> compile(const Pieces<CompiledRoutes>&,
                                                const config::Node& node, Origin origin);
  std::shared_ptr<const CompiledListener> compile(const Pieces<CompiledListener>&,
                                                  const config::Node& node, Origin origin);
  std::shared_ptr<const CompiledRuntimeLayer> compile(const Pieces<CompiledRuntimeLayer>&,
                                                      const config::Node& node, Origin origin);
  std::shared_ptr<const CompiledExtension> compile(const Pieces<CompiledExtension>&,
                                                   const config::Node& node, Origin origin);
  std::shared_ptr<const CompiledScope> compile(const Pieces<CompiledScope>&,
                                               const config::Node& node, Origin origin);
  std::shared_ptr<const CompiledVirtualHost> compile(const Pieces<CompiledVirtualHost>&,
                                                     const config::Node& node, Origin origin);
  [[nodiscard]] bool has_ads() const {
    return job_.has_ads.value_or(out_->bootstrap.dynamic.has_ads);
  }
  void check_vhds(const route::RouteTable& table, const config::Node& source) const;
  // settle() shall look at it.
  void mark(const Pieces<CompiledCluster>&, const std::string& name);
  void mark(const Pieces<CompiledRoutes>&, const std::string& name);
  void mark(const Pieces<CompiledListener>&, const std::string& name);
  void mark(const Pieces<CompiledExtension>&, const std::string& name);
  void mark(const Pieces<CompiledVirtualHost>&, const std::string& name);
  void mark(const Pieces<CompiledScope>&, const std::string& name);
  void mark(const Pieces<CompiledRuntimeLayer>&, const std::string& name);
  // What an empty version of a piece means.
  template <typename T>
  [[nodiscard]] SharedText version_of_all(const Pieces<T>&) const {
    if constexpr (std::is_same_v<T, CompiledCluster>) return resources_->clusters_version;
    if constexpr (std::is_same_v<T, CompiledListener>) return resources_->listeners_version;
    return {};
  }

  [[nodiscard]] bool is_cancelled() const { return job_.cancelled.stop_requested(); }

  // ---- build.cc: the file ----

  template <typename T>
  void keep_what_is_in_force(Piece<T>& piece) const;
  void drop_unused_scopes();

  // ---- build_shadows.cc: of a control plane, under names of the file ----

  void move_shadows();
  template <typename T>
  void hide(Pieces<T>& pieces, const std::vector<Piece<T>>& of_file, Pieces<T>& shadowed);
  template <typename T>
  Names unhide(Pieces<T>& pieces, const std::vector<Piece<T>>& of_file,
               const std::vector<Piece<T>>& of_file_before, const Pieces<T>& shadowed);

  // ---- build_again.cc ----

  void compile_all_again(const Keys& keys);
  void renew_runtime();
  void look_at_all_listeners();
  template <typename T>
  bool compile_again(Pieces<T>& pieces, const Keys& keys, bool with_files);
  template <typename T>
  void compile_file_again(std::vector<Piece<T>>& list, const Pieces<T>& kind, const Keys& keys);
  template <typename T>
  void compile_piece_again(const Pieces<T>& kind, std::string_view name, Piece<T>& piece,
                           config::UnknownFields unknown);

  // ---- build_take.cc: what a response says; returned is what is wrong, a line a problem ----

  std::string wrong_with(const xds::Response& response);
  std::string take_clusters(const xds::Response& response);
  std::string take_listeners(const xds::Response& response);
  std::string take_routes(const xds::Response& response);
  std::string take_extensions(const xds::Response& response);
  std::string take_runtime(const xds::Response& response);
  std::string take_virtual_hosts(const xds::Response& response);
  std::string take_scopes(const xds::Response& response);
  template <typename T>
  std::string take_all(const xds::Response& response, Pieces<T>& pieces, Pieces<T>& shadowed,
                       const std::set<std::string_view>& of_file);
  template <typename T>
  std::string take_named(const xds::Response& response, const WantedNames& wanted,
                         Pieces<T>& pieces);
  template <typename T>
  std::string take_one(const xds::Response& response, const xds::Resource& resource,
                       Pieces<T>& pieces);
  template <typename T>
  void remove(Pieces<T>& pieces, const std::string& name);
  // Its last update is refused; returns `text`.
  template <typename T>
  std::string refuse(const xds::Response& response, const std::string& name, Piece<T>& piece,
                     std::string text) {
    piece.error = admin::ConfigFailure{wall_now(), response.version, text};
    refused_.insert(name);
    return text;
  }
  void note_conflict(const SecondClaim& conflict, std::string& wrong);

  // ---- build_clashes.cc ----

  // Listeners whose newest is another one than in `before`.
  [[nodiscard]] Names changed_listeners(const Pieces<CompiledListener>& before) const;
  void take_back(const xds::Response& response, const Pieces<CompiledListener>& before,
                 const std::string& name, const std::vector<UsedAddresses::Clash>& clashes,
                 std::string& wrong);
  // Takes those that are refused out of `changed`.
  void refuse_unbindable(const xds::Response& response, const Pieces<CompiledListener>& before,
                         Names& changed, std::string& wrong);
  void refuse_unbindable_of_file(config::Errors& errors) const;
  void refuse_clashes(const xds::Response& response, const Pieces<CompiledListener>& before,
                      const Names& changed, std::string& wrong);
  [[nodiscard]] UsedAddresses addresses_of_file() const;
  void refuse_addresses_of_others(config::Errors& errors) const;
  template <typename T>
  void refuse_second_sources(const xds::Response& response, Pieces<T>& pieces,
                             const Pieces<T>& before, std::string& wrong);
  void refuse_sources_of_others(config::Errors& errors) const;

  const Options& options_;
  const Sinks& sinks_;
  const BuildJob& job_;
  const config::UnknownFields unknown_;
  std::shared_ptr<Resources> resources_;
  Compiler compiler_;
  std::shared_ptr<Snapshot> out_;
  bool is_all_new_ = false;        // the file was read
  std::set<std::string> refused_;  // of the response that is being taken
};

// What a piece that was compiled needs beside itself.
template <typename T>
void note(Piece<T>& piece, config::Errors& errors) {
  PieceNotes notes{errors.files(), errors.take_runtime_keys()};
  piece.notes.reset();
  if (!notes.files.empty() || !notes.runtime_keys.empty()) piece.notes = std::move(notes);
}

template <typename T>
std::set<std::string_view> names_of(const std::vector<Piece<T>>& list) {
  std::set<std::string_view> names;
  for (const Piece<T>& piece : list) names.insert(piece.newest->config->name);
  return names;
}

}  // namespace pillion
