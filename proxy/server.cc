#include "proxy/server.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <utility>

#include "proxy/admin/pages.h"
#include "proxy/admin/server_stats.h"
#include "proxy/base/crash.h"
#include "proxy/base/log.h"
#include "proxy/base/log_file.h"
#include "proxy/base/str.h"
#include "proxy/builder/builder.h"
#include "proxy/io/cpu_limit.h"
#include "proxy/io/descriptors.h"
#include "xds/field_path.h"

namespace pillion {
namespace {

constexpr uint32_t kDefaultWorkers = 2;
constexpr uint32_t kMaxWorkers = 1024;
// Descriptors that no client may take: logs, admin, DNS, listeners, and the same again for what
// comes.
constexpr size_t kReservedDescriptors = 128;
// While the process drains: how often it is looked whether it is over, and how long nobody may have
// been connected before it is.
constexpr Duration kShutdownCheck = std::chrono::milliseconds(100);
constexpr Duration kQuietTime = std::chrono::milliseconds(300);
// For threads that work for nobody any more.
constexpr Duration kLastPatience = std::chrono::milliseconds(200);
// How long before the end nobody is let in any more, where it does not get quiet: a refused client
// may go elsewhere, one that is cut off does not know what became of its request.
Duration last_call(Duration drain_time) {
  return std::min<Duration>(std::chrono::milliseconds(500), drain_time / 10);
}

uint32_t worker_count(const Options& options) {
  if (options.concurrency != 0) return std::min(options.concurrency, kMaxWorkers);
  const uint32_t limit = io::cpu_limit();
  return limit == 0 ? kDefaultWorkers : std::min(limit, kMaxWorkers);
}

LogWriterOptions writer_options(const Options& options) {
  LogWriterOptions out;
  out.flush_interval = options.file_flush_interval;
  out.flush_bytes = options.file_flush_bytes;
  return out;
}

// A client needs a descriptor, and mostly one upstream.
int64_t connection_limit(const Options&, const BootstrapConfig& config) {
  const size_t descriptors = io::raise_descriptor_limit();
  const size_t rest =
      descriptors > 2 * kReservedDescriptors ? descriptors - kReservedDescriptors : descriptors / 2;
  const auto limit = static_cast<int64_t>(rest / 2);
  if (config.max_downstream_connections == 0) return limit;
  return std::min(limit, static_cast<int64_t>(
                             std::min<uint64_t>(config.max_downstream_connections, INT64_MAX)));
}

// major * 1000000 + minor * 1000 + patch
uint32_t version_number() {
  uint32_t parts[3] = {};
  std::sscanf(PILLION_VERSION, "%u.%u.%u", &parts[0], &parts[1], &parts[2]);
  return parts[0] * 1'000'000 + parts[1] * 1000 + parts[2];
}

class RegexFilter final : public stats::NameFilter {
 public:
  explicit RegexFilter(std::shared_ptr<const match::Regex> regex) : regex_(std::move(regex)) {}
  [[nodiscard]] bool matches(std::string_view name) const override { return regex_->matches(name); }

 private:
  std::shared_ptr<const match::Regex> regex_;
};

// A page's filter matches anywhere in a name.
std::shared_ptr<const stats::NameFilter> compile_filter(std::string_view pattern,
                                                        std::string& error) {
  Result<std::shared_ptr<const match::Regex>> regex =
      match::Regex::compile(str("(?s).*(?:", pattern, ").*"));
  if (regex) return std::make_shared<const RegexFilter>(*regex);
  error = regex.error();
  return nullptr;
}

}  // namespace

Server::Server(const Options& options)
    : options_(options),
      concurrency_(worker_count(options)),
      writer_(writer_options(options)),
      rng_(std::random_device{}()),
      discovery_({loop_, resolver_, registry_, rng_, &batch_},
                 static_cast<discovery::DiscoveryObserver&>(*this)),
      secrets_(loop_, static_cast<tls::SecretStoreObserver&>(*this)),
      providers_({loop_, rng_, registry_, secrets_, static_cast<certs::ProviderHost&>(*this)}),
      stats_(registry_.block<stats::ServerStats>(stats::kControl)),
      listener_stats_(registry_.block<stats::ListenerManagerStats>(stats::kControl)),
      cluster_stats_(registry_.block<stats::ClusterManagerStats>(stats::kControl)),
      runtime_stats_(registry_.block<stats::RuntimeStats>(stats::kControl)),
      started_(MonotonicClock::now()) {
  secrets_.set_fetcher(providers_);
  writer_.start();
  log::attach(writer_);
}

Server::~Server() {
  builder_.stop();
  builder_.wait();
  spans_.close();
  log::detach();
}

Status<> Server::start(const BuildResult& built) {
  const std::shared_ptr<const Snapshot>& snapshot = built.snapshot;
  const BootstrapConfig bootstrap = snapshot->bootstrap;
  count_unknown_fields(built);
  connection_limit_ = connection_limit(options_, bootstrap);
  runtime_stats_->value_unusable.add(built.unusable_runtime_values);
  if (Status<> opened = open_admin(bootstrap); !opened) return opened;
  for (uint32_t i = 0; i < concurrency_; ++i) {
    workers_.push_back(std::make_unique<Worker>(static_cast<uint16_t>(i), registry_, budget_,
                                                options_.drain_time));
    workers_.back()->set_route_asker(*this);
    if (bootstrap.watches_turns) workers_.back()->watch_turns();
  }
  if (bootstrap.watches_turns) watch_turns();
  registry_.on_scrape([this] {
    discovery_.refresh_gauges();
    refresh_drains();
  });
  keep_log_stats();
  admin::keep_server_stats(registry_, *this, concurrency_, version_number());
  if (Status<> committed = commit_first(built); !committed) return committed;
  ask_control_plane();
  report_load();
  for (const auto& worker : workers_) worker->start();
  io::SignalObserver& observer = *this;
  signals_ = std::make_unique<io::Signals>(
      loop_, std::initializer_list<int>{SIGTERM, SIGINT, SIGHUP, SIGUSR1}, observer);
  watch_config();
  return Ok{};
}

// Nobody waits for an address that the file wants from the start.
Status<> Server::commit_first(const BuildResult& built) {
  const std::unique_ptr<Change> first = begin_change(built);
  while (first->sockets->open_next()) {
  }
  std::string wrong;
  for (const SocketOpener::Failure& failure : first->sockets->failures())
    wrong += str(wrong.empty() ? "" : "\n", "listener \"", failure.listener->name,
                 "\": ", failure.reason);
  if (!wrong.empty()) return Error<std::string>{std::move(wrong)};
  commit(*first);
  return Ok{};
}

void Server::watch_turns() {
  turn_stats_ = registry_.block<stats::ServerDispatcherStats>(stats::kControl);
  stats::ServerDispatcherStats& rows = *turn_stats_;
  turns_.emplace(
      io::TurnWatch::Histograms{rows.loop_duration_us, rows.poll_delay_us, rows.loop_cpu_us});
  loop_.watch_turns(&*turns_);
}

// From the start, or from the first configuration that names what it does not have.
void Server::ask_control_plane() {
  if (control_plane_ != nullptr || !ControlPlane::is_dynamic(*snapshot_)) return;
  ControlPlaneHost& host = *this;
  const BootstrapConfig& bootstrap = snapshot_->bootstrap;
  control_plane_ = std::make_unique<ControlPlane>(
      ControlPlane::Context{loop_, rng_, cluster_client(), registry_,
                            options_.unknown_dynamic_fields(), &providers_.ads(),
                            std::string(encoded_node()), options_.last_good_cache,
                            str(bootstrap.node_id, '\n', bootstrap.node_cluster)},
      bootstrap.dynamic, host);
  control_plane_->start(*snapshot_);
}

void Server::report_load() {
  const auto& service = snapshot_->bootstrap.dynamic.load_stats;
  if (!service) return;
  load_reporter_ = std::make_unique<xds::LoadReporter>(
      xds::LoadReporter::Context{loop_, rng_, cluster_client(), load_counts_, registry_}, *service,
      std::string(encoded_node()));
  load_reporter_->start();
}

Status<> Server::open_admin(const BootstrapConfig& config) {
  admin::add_pages(router_,
                   {*this, *this, registry_, config.stats, compile_filter, xds::has_field});
  if (!config.admin_allowed.empty()) {
    router_.allow_only([allowed = config.admin_allowed](std::string_view path) {
      return std::ranges::any_of(allowed,
                                 [path](const match::StringMatcher& m) { return m.matches(path); });
    });
  }
  if (!config.admin) return Ok{};
  Result<std::unique_ptr<AdminListener>> opened =
      AdminListener::open(loop_, batch_, *config.admin, router_);
  if (!opened) return Error<std::string>{str("admin: ", opened.error())};
  admin_ = std::move(*opened);
  return Ok{};
}

// The writer's thread has no block of its own: what it counted since the last scrape is added.
void Server::keep_log_stats() {
  auto block = std::make_shared<stats::BlockRef<stats::LogFileStats>>(
      registry_.block<stats::LogFileStats>(stats::kControl));
  registry_.on_scrape([this, block, before = LogWriterStats{}]() mutable {
    const LogWriterStats now = writer_.stats();
    stats::LogFileStats& out = **block;
    out.write_failed.add(now.write_failed - before.write_failed);
    out.reopen_failed.add(now.reopen_failed - before.reopen_failed);
    out.flushed_by_timer.add(now.flushed_by_timer - before.flushed_by_timer);
    out.write_dropped.add(now.dropped - before.dropped);
    out.write_lost.add(now.lost - before.lost);
    out.written_bytes.add(now.written_bytes - before.written_bytes);
    before = now;
  });
}

void Server::watch_config() {
  if (options_.config_path.empty()) return;
  io::FileObserver& observer = *this;
  Result<std::unique_ptr<io::FileWatch>> watch =
      io::FileWatch::make(loop_, options_.config_path, observer);
  if (watch) {
    file_watch_ = std::move(*watch);
  } else {
    log::warning(log::kConfig, "changes of the file are not noticed; send SIGHUP",
                 {{"reason", watch.error()}});
  }
}

int Server::run() {
  loop_.run();
  close_everything();
  // What is still built, or freed, for nobody is not waited for: with ten thousand clusters that
  // may be seconds of a pod's grace period. Nothing is left to be written.
  if (!BackgroundQueue::wait_for_all(kLastPatience)) std::_Exit(0);
  return 0;
}

// ---- the end ----

void Server::on_signal(int signal) {
  switch (signal) {
    case SIGHUP:
      return reload("SIGHUP");
    case SIGUSR1:
      return writer_.reopen();
    default:
      if (shutting_down_) return loop_.stop();  // said twice: at once
      return begin_shutdown(signal == SIGTERM ? "SIGTERM" : "SIGINT");
  }
}

// Listeners go on accepting: whoever still sends us new connections does not know yet, and is told
// by every response.
void Server::begin_shutdown(std::string_view cause) {
  if (shutting_down_) return;
  shutting_down_ = true;
  builder_.stop();
  log::info(log::kMain, "draining", {{"cause", cause}, {"for_at_most", options_.drain_time}});
  for (const auto& worker : workers_)
    worker->post([is_gradual = is_drain_gradual()](Worker& w) { w.announce_drain(is_gradual); });
  drain_deadline_ = loop_.now() + options_.drain_time;
  idle_since_ = {};
  check_shutdown();
}

void Server::check_shutdown() {
  const Instant now = loop_.now();
  const bool is_idle = budget_.used.load(std::memory_order_relaxed) == 0;
  if (!is_idle) {
    idle_since_ = {};
  } else if (idle_since_ == Instant{}) {
    idle_since_ = now;
  }
  const bool is_over = closing_ && workers_listening_ == 0 && is_idle;
  if (is_over && !std::exchange(finishing_, true)) spans_.finish();
  if ((is_over && spans_.is_idle()) || now >= drain_deadline_) return loop_.stop();
  const bool is_quiet = is_idle && now - idle_since_ >= kQuietTime;
  if (is_quiet || drain_deadline_ - now <= last_call(options_.drain_time)) close_sockets();
  loop_.arm(shutdown_timer_, std::min(kShutdownCheck, drain_deadline_ - now));
}

// Closing a socket resets whoever waits in its queue, so that each worker takes them first; the
// process ends when they are served.
void Server::close_sockets() {
  if (std::exchange(closing_, true)) return;
  log::debug(log::kMain, "listeners close", {{"open_connections", budget_.used.load()}});
  workers_listening_ = concurrency_;
  for (const auto& worker : workers_) {
    worker->post([this](Worker& w) {
      w.close_sockets(false);
      inbox_.post([this] {
        if (--workers_listening_ == 0) check_shutdown();
      });
    });
  }
}

void Server::close_everything() {
  log::info(log::kMain, "exiting", {{"open_connections", budget_.used.load()}});
  builder_.stop();
  providers_.stop();
  if (control_plane_ != nullptr) control_plane_->stop();
  if (load_reporter_ != nullptr) load_reporter_->stop();
  for (const auto& worker : workers_) worker->stop();
  workers_.clear();
  if (admin_ != nullptr) admin_->close();
  spans_.close();
  documents_.reset();
  if (clusters_ != nullptr) clusters_->close();
  unbound_.stop();
  opening_.reset();
  drain_timer_.cancel();
  shutdown_timer_.cancel();
  writer_.flush();
}

// ---- the process ----

namespace {

// Keys are in memory: no core dump, unless somebody asks for one.
void set_core_dumps(bool allowed) {
  rlimit limit{};
  getrlimit(RLIMIT_CORE, &limit);
  limit.rlim_cur = allowed ? limit.rlim_max : 0;
  setrlimit(RLIMIT_CORE, &limit);
  prctl(PR_SET_DUMPABLE, allowed ? 1 : 0);
}

// The file stays open as long as the process lives.
Status<> open_log(const std::string& path) {
  const Result<int> fd = LogOutput::open_path(path);
  if (!fd) return Error<std::string>{str("--log-path: ", fd.error())};
  log::set_output(*fd, path);
  return Ok{};
}

Status<> set_up_log(const Options& options) {
  if (!options.log_path.empty()) {
    if (Status<> opened = open_log(options.log_path); !opened) return opened;
  }
  if (!options.log_format.empty()) log::set_pattern(options.log_format);
  if (Status<> set = log::set_level("", options.log_level); !set) return set;
  if (options.component_log_levels.empty()) return Ok{};
  return log::set_levels(options.component_log_levels);
}

int complain(std::string_view what) {
  std::fprintf(stderr, "pillion: %.*s\n", static_cast<int>(what.size()), what.data());
  return 1;
}

}  // namespace

int run_server(const Options& options) {
  if (Status<> log_is_set = set_up_log(options); !log_is_set) return complain(log_is_set.error());
  std::signal(SIGPIPE, SIG_IGN);
  BackgroundQueue::keep_reserve();
  set_core_dumps(options.enable_core_dump);
  Server server(options);
  BuildResult built = run_build(options, server.sinks(), {});
  std::fputs(built.warnings.c_str(), stderr);
  if (built.snapshot == nullptr) {
    std::fputs(built.messages.c_str(), stderr);
    return 1;
  }
  if (Status<> started = server.start(built); !started) return complain(started.error());
  built = {};  // a reload may end what it consists of
  const int code = server.run();
  // What may still read a file for nobody must not outlive what is static.
  BackgroundQueue::wait_for_all();
  return code;
}

}  // namespace pillion
