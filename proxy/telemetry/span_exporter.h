#pragma once
// SpanExporter: where sampled requests leave their spans, and what sends them to collectors.
//
// Owned by the server, made before the first configuration is read: tracers of the configuration
// hold SpanTargets.  Workers push encoded spans; control gathers them for a second (or until many
// wait) and posts them with OTLP over HTTP (otlp_sender.h).  While no span waits no timer is armed.
//
//   auto target = exporter.target({.cluster = "collector", ...});   builder
//   exporter.use(client);                                           control, before workers know
//   exporter.push(*target, span);                                   workers
//   exporter.finish(); ... exporter.is_idle()                       at the end: what waits goes now
//   exporter.close();                                               before the client goes

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/rng.h"
#include "proxy/io/inbox.h"
#include "proxy/io/loop.h"
#include "proxy/stats/registry.h"
#include "proxy/telemetry/span_queues.h"
#include "proxy/upstream/cluster_client.h"

namespace pillion::telemetry {

// A collector, as configured (HttpService and the resource).
struct SpanTargetOptions {
  std::string cluster;
  std::string authority;
  std::string path;
  std::vector<std::pair<std::string, std::string>> fields;  // lower-case names
  std::string resource;                                     // encode_resource()
  Duration timeout = std::chrono::seconds(1);
  uint32_t max_waiting = 8192;  // spans, beyond which they are dropped
  friend bool operator==(const SpanTargetOptions&, const SpanTargetOptions&) = default;
};

struct SpanTarget {
  uint32_t id = 0;
  SpanTargetOptions options;
};
using SpanTargetPtr = std::shared_ptr<const SpanTarget>;

class OtlpSender;

class SpanExporter {
 public:
  static constexpr Duration kFlushInterval = std::chrono::seconds(1);

  // `loop` is control's, and it and `registry` outlive the exporter.  Made on the loop's thread, or
  // before it runs.
  SpanExporter(io::Loop& loop, stats::Registry& registry);
  ~SpanExporter();  // after close(), and when nobody pushes any more

  // Any thread, off the data path.  The same options give the same target while it lives.
  SpanTargetPtr target(SpanTargetOptions options);
  // Any thread.  Never waits; what finds no room is dropped and counted.
  void push(const SpanTarget& target, std::string_view span) { queues_.push(target.id, span); }

  // ---- control's thread ----
  // Is there a target, so that a client is needed?
  [[nodiscard]] bool has_targets() const;
  // Calls go through `client` from now on; it outlives the calls, see close().
  void use(upstream::ClusterClient& client);
  // The process ends: sends what waits, at once, and gives each batch one more try only.
  void finish();
  [[nodiscard]] bool is_idle() const;
  void close();

 private:
  void on_wake(SpanQueues::Wake wake);
  void on_timer();
  void gather();
  OtlpSender* sender(uint32_t target);
  void count_dropped();

  io::Loop& loop_;
  stats::Registry& registry_;
  Rng rng_;
  io::Inbox inbox_;
  SpanQueues queues_;
  upstream::ClusterClient* client_ = nullptr;
  stats::BlockRef<stats::OpenTelemetryStats> stats_;
  io::Timer timer_ = io::Timer::of<&SpanExporter::on_timer>(this);
  std::vector<std::unique_ptr<OtlpSender>> senders_;
  uint64_t dropped_counted_ = 0;
  bool finishing_ = false;

  mutable std::mutex mutex_;
  std::vector<std::weak_ptr<const SpanTarget>> targets_;  // by id
};

}  // namespace pillion::telemetry
