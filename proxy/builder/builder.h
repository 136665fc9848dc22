#pragma once
// Text and resources of a control plane -> Snapshot: loads, expands, parses and compiles.  Runs on
// any thread that may block (the builder thread of a server, `pillion check`, `pillion explain`).

#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/log_writer.h"
#include "proxy/base/shared_map.h"
#include "proxy/builder/listen_addresses.h"
#include "proxy/builder/options.h"
#include "proxy/builder/snapshot.h"
#include "proxy/builder/warming.h"
#include "proxy/config/errors.h"
#include "xds/discovery_message.h"

namespace pillion::telemetry {
class SpanExporter;
}

namespace pillion {

// Where what it configures is recorded.  Both outlive the snapshot; null opens nothing.
struct Sinks {
  LogWriter* logs = nullptr;
  telemetry::SpanExporter* spans = nullptr;
};

// What is new since the last build.
struct BuildJob {
  std::shared_ptr<const Snapshot> previous;   // null: the first
  bool reads_files = false;                   // the file or what it names has changed
  std::vector<xds::Response> responses;       // in their order; of endpoints and secrets none
  SharedNames endpoints;                      // EDS names that were answered, or given up
  std::set<std::string> given_up_routes;      // RDS names that need not be waited for
  std::set<std::string> given_up_extensions;  // ECDS names likewise
  WarmClusters warm;                          // of those of `previous` that wait
  tls::SettledSecrets settled_secrets;
  // The admin layer of the runtime, if it has changed; else null.
  std::shared_ptr<const config::RuntimeValues> admin_values;
  Instant now{};
  bool given_up_virtual_hosts = false;          // nor the first answer of VHDS
  bool given_up_scopes = false;                 // nor SRDS
  SharedNames demanded_routes;                  // RDS names that requests wait for
  std::set<std::string> dropped_virtual_hosts;  // VHDS names that nobody needs any more
  // Where the listeners of `previous` listen; null: addresses of others are not tried.
  std::shared_ptr<const OurAddresses> ours;
  // Is there a stream of ads_config?  None: as the file says.  A file that is read again may say
  // what takes effect at the next start only.
  std::optional<bool> has_ads;
  StoppedListeners stopped_listeners = StoppedListeners::kNone;
  HeldListeners held_listeners;  // that must wait for their addresses
  // Once it is asked to stop nobody wants the result: the build ends after the piece that it is at.
  std::stop_token cancelled;
};

// What became of a response.
struct Answer {
  xds::ResourceType type;
  uint32_t source;    // Response::source
  std::string wrong;  // one problem a line; empty: nothing
  // Names of its resources that were refused one by one, while others were taken; empty: nothing
  // was refused, or all was.
  std::set<std::string> refused = {};
};

struct BuildResult {
  std::shared_ptr<const Snapshot> snapshot;  // null: the file was refused, or it was cancelled
  std::string messages;                      // why
  std::string warnings;
  std::set<std::string> files;  // that a refused configuration names too: what it lacks may come
  bool read_files = false;
  // Tolerated in what was read and taken now.
  uint64_t static_unknown_fields = 0;
  config::UnknownFieldMap dynamic_unknown_fields;
  uint64_t unusable_runtime_values = 0;
  bool has_admin_values = false;  // the job's are in the snapshot, or would be
  // For each response.
  std::vector<Answer> answers;
};

BuildResult run_build(const Options& options, const Sinks& sinks, const BuildJob& job);

// The snapshot that options.config_path and options.config_yaml stand for.  Everything that is
// wrong goes to `errors`, sorted out by file and line; null if anything is (or errors.ok() is
// false). Without sinks it is good for checking and explaining.  What would come from a control
// plane counts as there, and empty.
std::shared_ptr<const Snapshot> build_snapshot(const Options& options, const Sinks& sinks,
                                               config::Errors& errors);

}  // namespace pillion
