#pragma once
// What the admin pages know of the proxy, and what they can make it do.  Implemented by the server;
// both outlive the Router.  Called on the control thread only.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/json_writer.h"
#include "proxy/base/result.h"
#include "proxy/config/document.h"
#include "proxy/io/address.h"

namespace pillion::admin {

// As server.state numbers them.
enum class ServerState : uint8_t { kLive, kDraining, kPreInitializing, kInitializing };
std::string_view state_name(ServerState state) noexcept;  // "LIVE"

// Summed over workers.
struct HostStatus {
  io::Address address;
  std::string hostname;
  uint64_t cx_active = 0;
  uint64_t cx_connect_fail = 0;
  uint64_t cx_total = 0;
  uint64_t rq_active = 0;
  uint64_t rq_error = 0;
  uint64_t rq_pending_active = 0;
  uint64_t rq_success = 0;
  uint64_t rq_timeout = 0;
  uint64_t rq_total = 0;
  bool failed_active_health_check = false;
  bool failed_outlier_check = false;
  bool failed_eds_health = false;
  bool degraded = false;  // by active check
  bool eds_degraded = false;
  bool pending_dynamic_removal = false;
  bool pending_active_health_check = false;
  bool excluded_via_immediate_hc_fail = false;
  bool active_hc_timeout = false;
  uint32_t weight = 1;
  uint32_t priority = 0;
  std::string region, zone, sub_zone;
  bool canary = false;
  double success_rate = -1;
  double local_origin_success_rate = -1;
};

struct CircuitBreakerStatus {
  uint32_t max_connections = 1024;
  uint32_t max_pending_requests = 1024;
  uint32_t max_requests = 1024;
  uint32_t max_retries = 3;
};

// Of clusters with outlier detection; -1 where too little is known.
struct OutlierStatus {
  double success_rate_average = -1;
  double success_rate_threshold = -1;
  double local_success_rate_average = -1;
  double local_success_rate_threshold = -1;
};

struct ClusterStatus {
  std::string name;
  std::string observability_name;  // alt_stat_name, else the name
  std::string eds_service_name;
  bool added_via_api = false;
  CircuitBreakerStatus default_priority, high_priority;
  std::optional<OutlierStatus> outlier;
  std::vector<HostStatus> hosts;
};

struct ListenerStatus {
  std::string name;
  std::vector<io::Address> addresses;  // as bound: port 0 is resolved
};

struct CertificateStatus {
  std::string path;  // or "<inline>"
  std::string serial_number;
  // Kind (uri, dns, ip_address) and value.
  std::vector<std::pair<std::string, std::string>> subject_alt_names;
  WallTime valid_from{};
  WallTime expiration{};
};
// Of one TLS context.
struct CertificatesStatus {
  std::vector<CertificateStatus> ca_cert;
  std::vector<CertificateStatus> cert_chain;
};

struct ConfigFailure {
  WallTime when{};
  std::string version;                                // of xDS; empty for files
  std::string details;                                // all messages, as the log had them
  std::shared_ptr<const config::Document> refused{};  // what was; null if that is not kept
};

// Envoy's envoy.admin.v3.ClientResourceStatus, of what a control plane is asked for.
enum class ClientStatus : uint8_t {
  kUnknown,
  kRequested,     // by name, and not answered yet
  kDoesNotExist,  // the control plane does not have it
  kAcked,
  kNacked,  // the last one was refused; one before may be in force
  kReceivedError,
  kTimeout  // not answered within initial_fetch_timeout
};
std::string_view status_name(ClientStatus status) noexcept;  // "ACKED"

// A piece of the configuration.
struct ConfigResource {
  enum class Kind : uint8_t {
    kBootstrap,
    kCluster,
    kListener,
    kRoute,
    kSecret,
    kEndpoints,
    kScopedRoute,
    kExtension,
    // These have no list in Envoy's dump: those of virtual hosts stand in their tables.
    kVirtualHost,
    kRuntimeLayer
  };
  Kind kind = Kind::kBootstrap;
  bool is_dynamic = false;  // from xDS
  std::string name;
  std::string version;  // of xDS
  WallTime last_updated{};
  std::shared_ptr<const config::Document> document;  // keeps `value` alive
  const config::Value* value = nullptr;              // in Envoy's v3 schema
  std::optional<ConfigFailure> error_state;          // the last update of this resource was refused
  bool is_warming = false;                           // not in force yet
  bool is_draining = false;                          // not in force any more
  ClientStatus client_status = ClientStatus::kUnknown;
  // Where no document is kept (but a message): makes one when the piece is shown, whose root is the
  // value.
  std::function<std::shared_ptr<const config::Document>()> make_document{};
};

// What the process, or a part of its configuration, waits for.
struct Wait {
  enum class Kind : uint8_t {
    kServer,
    kRuntime,
    kCluster,
    kRoute,
    kVirtualHost,
    kScope,
    kExtension,
    kListener,
    kSecret
  };
  Kind kind = Kind::kServer;
  std::string name;                  // of what waits; empty: the process, or its runtime
  std::vector<std::string> targets;  // as Envoy prints its init targets: "target LDS"
  std::vector<std::string> reasons;  // the same in plain words
};

struct RuntimeEntry {
  std::string final_value;
  std::vector<std::string> layer_values;  // one for each layer, empty where it has none
};
struct RuntimeStatus {
  std::vector<std::string> layers;
  std::map<std::string, RuntimeEntry> entries;
};

class ServerView {
 public:
  virtual ~ServerView() = default;
  // kDraining also after /healthcheck/fail.
  [[nodiscard]] virtual ServerState state() const = 0;
  [[nodiscard]] virtual std::string version() const = 0;
  [[nodiscard]] virtual std::chrono::seconds uptime() const = 0;
  // The fields of the object: Envoy's CommandLineOptions, and its Node.
  virtual void write_command_line(JsonWriter& json) const = 0;
  virtual void write_node(JsonWriter& json) const = 0;

  // In the order of the configuration.
  [[nodiscard]] virtual std::vector<std::string> cluster_names() const = 0;
  // False if it is gone by now.
  virtual bool cluster(std::string_view name, ClusterStatus& out) const = 0;
  [[nodiscard]] virtual std::vector<ListenerStatus> listeners() const = 0;
  [[nodiscard]] virtual std::vector<CertificatesStatus> certificates() const = 0;

  // All of one kind, what is static first, in the order of the configuration.  What is in force
  // comes before what will take its place.
  [[nodiscard]] virtual std::vector<ConfigResource> config(ConfigResource::Kind kind) const = 0;
  // What a control plane was asked for and has not said, or has said that it does not exist.
  [[nodiscard]] virtual std::vector<ConfigResource> missing(ConfigResource::Kind kind) const = 0;
  // Of the last response of that kind that was accepted as a whole; empty: there was none.
  [[nodiscard]] virtual std::string config_version(ConfigResource::Kind kind) const = 0;
  // Nothing: all that was configured is in force.
  [[nodiscard]] virtual std::vector<Wait> waits() const = 0;
  // Envoy's text readouts: texts among the metrics, by name.
  [[nodiscard]] virtual std::map<std::string, std::string> text_readouts() const = 0;
  // The last reload of the file, if it was refused and no good one came since.
  [[nodiscard]] virtual std::optional<ConfigFailure> last_failed_reload() const = 0;
  // Fields that have no effect: of the file those that it has, of the control plane since the
  // start.
  [[nodiscard]] virtual config::UnknownFieldMap unknown_fields() const = 0;
  [[nodiscard]] virtual RuntimeStatus runtime() const = 0;
  // Names and levels of all loggers, sorted.
  [[nodiscard]] virtual std::vector<std::pair<std::string, std::string>> loggers() const = 0;
};

struct DrainRequest {
  bool inbound_only = false;
  bool graceful = false;   // announce Connection: close and wait the drain time before closing
  bool skip_exit = false;  // with graceful: do not close the listeners at the end
};

class ServerActions {
 public:
  virtual ~ServerActions() = default;
  virtual void drain_listeners(const DrainRequest& request) = 0;
  // Stops and starts being ready.
  virtual void fail_health_check(bool fail) = 0;
  // Ends the process in order, after the reply.
  virtual void quit() = 0;
  // Opens every log file again.
  virtual void reopen_logs() = 0;
  // `logger` empty: all.  `level`: trace debug info warning error critical off.
  // False: no such logger.
  virtual bool set_log_level(std::string_view logger, std::string_view level) = 0;
  // Sets keys of the runtime's admin layer, all or none; an empty value takes the key away.  They
  // take effect soon after.  An error: why not; nothing has changed then.
  virtual Status<> modify_runtime(
      const std::vector<std::pair<std::string, std::string>>& values) = 0;
};

}  // namespace pillion::admin
