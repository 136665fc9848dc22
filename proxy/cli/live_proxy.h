#pragma once
// LiveProxy: what a running proxy has in force, read from its admin interface, for explain().
//
// What is asked for once: /server_info and the listeners, routes and scopes of /config_dump.
// Clusters, their endpoints and breakers are asked for when an explanation comes to them.  Works
// with Pillion and, as far as Pillion can read its configuration, with Envoy.
//
// Secrets are not in a dump; what they would have said is left out, and is a secret that is not
// there to who explains.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/json.h"
#include "proxy/builder/assembly.h"
#include "proxy/cli/admin_client.h"
#include "proxy/cli/explain_parts.h"

namespace pillion::cli {

class LiveProxy final : public Facts {
 public:
  explicit LiveProxy(AdminClient client) : client_(std::move(client)) {}

  // Asks; an error is a sentence for a person.
  Status<> load();
  [[nodiscard]] const Snapshot& snapshot() const noexcept { return *snapshot_; }
  // The process: what it is, and what it waits for.
  void process(Lines& lines) const;
  // Those that have expired.
  void certificates(Lines& lines) const;
  // What is not in force and why, and what could not be read.
  void leftovers(Lines& lines) const;

  // Facts
  void listener(std::string_view name, Lines& lines) override;
  void routes(std::string_view name, Lines& lines) override;
  void scope(std::string_view name, Lines& lines) override;
  std::shared_ptr<const upstream::ClusterConfig> cluster(std::string_view name,
                                                         Lines& lines) override;
  bool hosts(std::string_view cluster, Lines& lines) override;
  void breakers(std::string_view cluster, Lines& lines) override;

 private:
  // Of a resource, beside what it says.
  struct Note {
    std::string version;
    std::string updated;
    std::string waiting;  // version of what will take its place; "?" if that has none
    std::string error;
    std::string error_version;
    bool is_in_force = false;
    bool is_static = false;  // of the file that the process was started with
  };

  Result<JsonDocument> ask(std::string_view target) const;
  // The entries of a list; none where there is no such list.
  Result<std::vector<Json>> list(std::string_view name, std::string_view filter = {});
  Status<> load_routes();
  Status<> load_scopes();
  Status<> load_listeners();
  Status<> load_extensions();
  static void read_note(const Json& entry, const Json& state, Note& note);
  static void tell(const Note& note, Lines& lines);
  config::DocumentPtr document_of(const Json& resource, const std::string& place,
                                  std::string& why) const;
  // Reads it by `add`; what cannot be read is left out.
  template <typename Add>
  void take(const Json& resource, std::string_view kind, std::string_view name, Add&& add);
  Json cluster_status(std::string_view name);

  const AdminClient client_;
  std::vector<JsonDocument> kept_;  // that a Json points into
  std::unique_ptr<Assembly> assembly_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::string version_, state_, node_;
  std::map<std::string, Json, std::less<>> extensions_;  // ECDS: name -> typed_config
  std::map<std::string, Note, std::less<>> listeners_, routes_, scopes_;
  std::vector<std::string> unreadable_;
  std::map<std::string, Json, std::less<>> statuses_;  // of clusters
};

}  // namespace pillion::cli
