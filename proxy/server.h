#pragma once
// Server: the process.  Owns the control thread's loop (the calling thread's), the workers, the log
// writer and the registry, and lives from the first configuration to the last drained connection.
//
// By file: server.cc birth and death, server_config.cc changes of configuration,
// server_listeners.cc their sockets, server_apply.cc how one takes effect, server_warming.cc what
// waits meanwhile, server_secrets.cc certificates, server_runtime.cc the runtime, server_view.cc
// what the admin pages see and do, server_status.cc the configuration as they show it, and what is
// waited for.
//
//   build ─▶ open sockets ─▶ warm clusters ─▶ apply to workers ─▶ all have applied: ready
//   a changed file or SIGHUP: build on a thread of its own ─▶ the same, less what did not change
//   the control plane says something new: build ─▶ apply what is warm ─▶ warm the rest ─▶ build
//   SIGTERM: not ready, responses announce the end ─▶ no connection left, or the deadline ─▶ exit
//
// Single-threaded but for the builder thread, which only runs build_snapshot() and posts its
// result.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "certs/expiry.h"
#include "certs/providers.h"
#include "proxy/admin/page.h"
#include "proxy/admin/server_view.h"
#include "proxy/admin_listener.h"
#include "proxy/base/background_queue.h"
#include "proxy/base/log_writer.h"
#include "proxy/bound_listeners.h"
#include "proxy/builder/builder.h"
#include "proxy/builder/options.h"
#include "proxy/builder/snapshot.h"
#include "proxy/builder/snapshot_changes.h"
#include "proxy/builder/warming.h"
#include "proxy/config/errors.h"
#include "proxy/context_stats.h"
#include "proxy/control/control_plane.h"
#include "proxy/control/document_fetcher.h"
#include "proxy/control/load_counts.h"
#include "proxy/control/unknown_fields.h"
#include "proxy/control_clusters.h"
#include "proxy/discovery/discovery.h"
#include "proxy/drain_count.h"
#include "proxy/host_broadcast.h"
#include "proxy/io/file_watch.h"
#include "proxy/io/inbox.h"
#include "proxy/io/loop.h"
#include "proxy/io/resolver.h"
#include "proxy/io/signals.h"
#include "proxy/io/turn_watch.h"
#include "proxy/retired.h"
#include "proxy/socket_opener.h"
#include "proxy/stats/registry.h"
#include "proxy/telemetry/span_exporter.h"
#include "proxy/tls/secret_store.h"
#include "proxy/unbound_listeners.h"
#include "proxy/worker.h"

namespace pillion {

class Server final : public admin::ServerView,
                     public admin::ServerActions,
                     private io::SignalObserver,
                     private io::FileObserver,
                     private discovery::DiscoveryObserver,
                     private tls::SecretStoreObserver,
                     private certs::ExpiryHost,
                     private certs::ProviderHost,
                     private DocumentObserver,
                     private ControlPlaneHost,
                     private UnboundListenersHost,
                     private core::RouteAsker {
 public:
  explicit Server(const Options& options);
  ~Server() override;

  // Takes the first configuration and opens every socket.  An error is for a person, and nothing
  // listens then.
  Status<> start(const BuildResult& built);
  // Until the end of the process; the exit code.
  int run();
  // Where what a first configuration asks for is recorded.
  [[nodiscard]] Sinks sinks() noexcept { return {&writer_, &spans_}; }

  // ---- ServerView (server_view.cc, server_status.cc) ----
  [[nodiscard]] admin::ServerState state() const override;
  [[nodiscard]] std::string version() const override;
  [[nodiscard]] std::chrono::seconds uptime() const override;
  void write_command_line(JsonWriter& json) const override;
  void write_node(JsonWriter& json) const override;
  [[nodiscard]] std::vector<std::string> cluster_names() const override;
  bool cluster(std::string_view name, admin::ClusterStatus& out) const override;
  [[nodiscard]] std::vector<admin::ListenerStatus> listeners() const override;
  [[nodiscard]] std::vector<admin::CertificatesStatus> certificates() const override;
  [[nodiscard]] std::vector<admin::ConfigResource> config(
      admin::ConfigResource::Kind kind) const override;
  [[nodiscard]] std::vector<admin::ConfigResource> missing(
      admin::ConfigResource::Kind kind) const override;
  [[nodiscard]] std::string config_version(admin::ConfigResource::Kind kind) const override;
  [[nodiscard]] std::vector<admin::Wait> waits() const override;
  [[nodiscard]] std::map<std::string, std::string> text_readouts() const override;
  [[nodiscard]] std::optional<admin::ConfigFailure> last_failed_reload() const override;
  [[nodiscard]] config::UnknownFieldMap unknown_fields() const override;
  [[nodiscard]] admin::RuntimeStatus runtime() const override;
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> loggers() const override;

  // ---- ServerActions (server_view.cc) ----
  void drain_listeners(const admin::DrainRequest& request) override;
  void fail_health_check(bool fail) override;
  void quit() override { begin_shutdown("/quitquitquit"); }
  void reopen_logs() override { writer_.reopen(); }
  bool set_log_level(std::string_view logger, std::string_view level) override;
  Status<> modify_runtime(const std::vector<std::pair<std::string, std::string>>& values)
      override;  // server_runtime.cc

 private:
  template <typename Add>
  void add_versions_by_name(Add&& add) const;
  void on_signal(int signal) override;
  void on_file_changed() override { reload("a file changed"); }
  void on_file_gone(const std::string& path) override;
  void on_hosts(std::string_view cluster, const upstream::HostSetPtr& hosts) override;
  void on_health(std::string_view cluster) override;
  void on_warm() override;
  void on_secrets_settled() override;
  void on_context_changed(const tls::ContextSlot& slot) override;
  void on_document_changed() override;
  void on_resources_wait() override;
  void on_endpoints(const std::string& eds_name, const upstream::HostSetPtr& hosts) override;
  [[nodiscard]] upstream::HostSetPtr endpoints_of(const std::string& eds_name) const override;
  void on_initialized() override;
  void on_unknown_fields(const config::UnknownFieldMap& fields) override;

  // ---- server_routes.cc ----
  void ask_for_route(const core::RouteName& name) override;
  void on_routes_answered(const std::vector<core::RouteName>& names) override;

  // ---- server_config.cc ----
  void reload(std::string_view cause);
  void build_if_wanted();
  void finish_build(BuildResult result);
  void refuse_reload(std::string messages);
  void count_unknown_fields(const BuildResult& result);
  void watch(const std::set<std::string>& files);
  // A configuration that was built, while its sockets are opened.
  struct Change {
    BuildResult result;
    std::shared_ptr<Snapshot> next;
    SnapshotChanges changes;
    std::unique_ptr<WorkerUpdate> update;
    std::unique_ptr<SocketOpener> sockets;
  };
  void commit(Change& change);
  // The builder may go on; what became of responses is told.
  void end_build(const BuildResult& result, bool is_taken);
  void diff_clusters(const SnapshotChanges& changes, WorkerUpdate& update);
  void count_in_force(const SnapshotChanges& changes);

  // ---- server_listeners.cc ----
  [[nodiscard]] std::unique_ptr<Change> begin_change(BuildResult result);
  // Those of the change, a portion at a time; commits it at the end.
  void open_sockets();
  void leave_out_unopened(Change& change);
  void count_listeners(const WorkerUpdate& update);
  void begin_drains(const SnapshotChanges& changes, WorkerUpdate& update);
  void refresh_drains();
  void set_own_addresses(WorkerUpdate& update);
  void stop_listeners(StoppedListeners which);
  Status<> try_listener(const core::ListenerConfig& listener) override;
  void on_addresses_free() override;
  void add_to(BuildJob& job) const;

  // ---- server_apply.cc ----
  void apply_when_warm();
  [[nodiscard]] bool is_pending_warm();
  [[nodiscard]] bool has_pending_secrets() const;
  void take_hosts(WorkerUpdate& update);
  // Takes removed clusters out of discovery, a portion at a time.
  void leave_clusters();
  // What the filters in force share by way of control.
  void fetch_documents();
  void on_applied();
  void become_ready_if();
  // Adds clusters of the update that waits to discovery, a portion at a time.
  void add_clusters();
  // Control calls upstreams: the clusters in force are made known to it, once.
  upstream::ClusterClient& cluster_client() override;

  // ---- server_warming.cc ----
  void warm_what_waits();
  void add_waiting();
  // What the builder shall know of what waits.
  void add_warm_to(BuildJob& job) const;
  [[nodiscard]] bool has_all_else(const upstream::ClusterConfig& cluster) const;
  // May some take effect now?  The first: of those that waited for discovery; the others: of those
  // that waited for secrets.
  [[nodiscard]] bool has_warm_cluster() const;
  [[nodiscard]] bool has_ready_cluster() const;
  [[nodiscard]] bool has_ready_listener() const;
  void build_for_warm();
  [[nodiscard]] const SharedNames& known_endpoints() const;

  // ---- server_status.cc ----
  void add_draining(std::vector<admin::ConfigResource>& out) const;
  void add_unbound(std::vector<admin::ConfigResource>& out) const;
  [[nodiscard]] admin::Wait wait_of_process() const;
  [[nodiscard]] admin::Wait wait_of_runtime() const;
  [[nodiscard]] admin::Wait wait_of_cluster(const Piece<CompiledCluster>& piece) const;
  // ---- server_runtime.cc ----
  void use_runtime(const Snapshot& next);

  // ---- server_secrets.cc ----
  // Asks for those of the update that waits, once.
  void want_secrets();
  void take_static_secrets();
  void add_secrets(std::vector<admin::ConfigResource>& out) const;
  [[nodiscard]] std::string_view encoded_node() const override;
  [[nodiscard]] std::vector<certs::CertificateInForce> certificates_in_force() const override;

  // ---- server.cc ----
  Status<> open_admin(const BootstrapConfig& config);
  Status<> commit_first(const BuildResult& built);
  void watch_turns();
  void ask_control_plane();
  void report_load();
  void begin_shutdown(std::string_view cause);
  void check_shutdown();
  void close_sockets();
  void end_drain();
  void close_everything();
  void watch_config();
  void keep_log_stats();
  [[nodiscard]] bool is_drain_gradual() const noexcept {
    return options_.drain_strategy == Options::DrainStrategy::kGradual;
  }

  const Options options_;
  const uint32_t concurrency_;
  stats::Registry registry_;
  LogWriter writer_;
  io::Loop loop_;
  io::WriteBatch batch_{loop_};
  io::Inbox inbox_{loop_};
  io::Resolver resolver_{loop_};
  ConnectionBudget budget_;
  Rng rng_;
  discovery::Discovery discovery_;
  // Secrets outlive every configuration that names them.
  tls::SecretStore secrets_;
  certs::Providers providers_;
  certs::Expiry expiry_{loop_, registry_, *this};
  mutable std::optional<std::string> encoded_node_;  // made when somebody asks
  admin::Router router_;
  std::unique_ptr<AdminListener> admin_;
  std::unique_ptr<io::Signals> signals_;
  std::unique_ptr<io::FileWatch> file_watch_;
  // Of the files that the configuration names (certificates, bodies ...), by name.
  std::map<std::string, std::unique_ptr<io::FileWatch>> named_files_;
  telemetry::SpanExporter spans_{loop_, registry_};
  std::unique_ptr<ControlClusters> clusters_;    // null: control calls nobody
  std::unique_ptr<DocumentFetcher> documents_;   // null: no filter needs any
  std::unique_ptr<ControlPlane> control_plane_;  // null: no dynamic_resources
  LoadCounts load_counts_{discovery_, registry_};
  std::unique_ptr<xds::LoadReporter> load_reporter_;  // null: nobody is told
  std::vector<std::unique_ptr<Worker>> workers_;
  HostBroadcast host_broadcast_{loop_, workers_, [this](Worker::FormerHosts former) {
                                  retired_.add_hosts(std::move(former));
                                }};
  stats::BlockRef<stats::ServerStats> stats_;
  stats::BlockRef<stats::ListenerManagerStats> listener_stats_;
  DrainCount drain_count_;
  DrainCount chain_drain_count_;
  stats::BlockRef<stats::ClusterManagerStats> cluster_stats_;
  stats::BlockRef<stats::RuntimeStats> runtime_stats_;
  stats::BlockRef<stats::ServerDispatcherStats> turn_stats_;
  std::optional<io::TurnWatch> turns_;  // of the control loop; none: nobody watches

  std::shared_ptr<const Snapshot> snapshot_;
  ContextStats context_stats_{loop_, registry_, secrets_, snapshot_};
  BoundListeners bound_;
  std::unique_ptr<Change> opening_;  // null: no sockets are being opened
  struct OpenSockets final : io::ReadyTask {
    explicit OpenSockets(Server& s) : server(s) {}
    void run_ready() override { server.open_sockets(); }
    Server& server;
  };
  OpenSockets open_sockets_task_{*this};
  UnboundListeners unbound_{loop_, static_cast<UnboundListenersHost&>(*this)};
  StoppedListeners stopped_ = StoppedListeners::kNone;
  bool sockets_wait_ = false;    // of unbound listeners, for a build
  bool addresses_left_ = false;  // by the update that takes effect
  Retired retired_{loop_, secrets_};
  size_t clusters_in_force_ = 0;
  size_t listeners_in_force_ = 0;
  WallTime config_time_{};
  std::optional<admin::ConfigFailure> last_failure_;
  UnknownFieldList unknown_fields_;
  // A committed update that waits: one of the file for its clusters to warm and its secrets, any
  // for its TLS contexts to be made; further builds wait for it.
  std::unique_ptr<WorkerUpdate> pending_;
  bool is_pending_of_file_ = false;
  size_t clusters_added_ = 0;  // of `pending_`, to discovery
  size_t clusters_warm_ = 0;   // of these, the first ones
  struct AddClusters final : io::ReadyTask {
    explicit AddClusters(Server& s) : server(s) {}
    void run_ready() override { server.add_clusters(); }
    Server& server;
  };
  AddClusters add_clusters_task_{*this};
  // The update that workers are taking, until discovery has left its removed clusters; no build
  // begins before that.
  std::shared_ptr<const WorkerUpdate> leaving_;
  size_t clusters_left_ = 0;
  struct LeaveClusters final : io::ReadyTask {
    explicit LeaveClusters(Server& s) : server(s) {}
    void run_ready() override { server.leave_clusters(); }
    Server& server;
  };
  LeaveClusters leave_clusters_task_{*this};
  // Of the last snapshot what control shall look for, and need not any more, when workers are told
  // of the rest; no build begins before that is done.
  WarmingChanges warming_;
  size_t waiting_added_ = 0;  // of these, to discovery
  struct AddWaiting final : io::ReadyTask {
    explicit AddWaiting(Server& s) : server(s) {}
    void run_ready() override { server.add_waiting(); }
    Server& server;
  };
  AddWaiting add_waiting_task_{*this};
  bool warm_wait_ = false;                  // what waited may take effect: for a build
  bool secrets_wanted_ = false;             // of `pending_`
  std::vector<std::string> new_listeners_;  // of the update that is being applied, by name
  uint32_t applying_ = 0;                   // workers that have yet to apply the last update
  BackgroundQueue builder_;
  bool building_ = false;
  std::string reload_wanted_;           // why the files shall be read; empty: they need not be
  bool resources_wait_ = false;         // of the control plane, for a build
  bool is_reload_ = false;              // what is being applied came from files
  config::RuntimeValues admin_values_;  // of /runtime_modify
  bool runtime_waits_ = false;          // these, for a build
  int64_t connection_limit_ = 0;        // without the runtime

  const Instant started_;
  bool ready_ = false;
  bool health_check_failed_ = false;
  bool draining_ = false;  // /drain_listeners
  bool shutting_down_ = false;
  bool drain_inbound_only_ = false;
  io::Timer drain_timer_ = io::Timer::of<&Server::end_drain>(this);
  Instant drain_deadline_{};
  Instant idle_since_{};
  bool closing_ = false;            // nobody listens from now on
  bool finishing_ = false;          // nobody is connected any more; the last spans go
  uint32_t workers_listening_ = 0;  // that have not told that they took what the kernel had queued
  io::Timer shutdown_timer_ = io::Timer::of<&Server::check_shutdown>(this);
};

// Builds the configuration, runs a Server until SIGTERM, SIGINT or /quitquitquit and returns the
// exit code: 0 after an orderly end, 1 if the configuration is wrong or an address cannot be had
// (said on stderr before anything listens).
int run_server(const Options& options);

}  // namespace pillion
