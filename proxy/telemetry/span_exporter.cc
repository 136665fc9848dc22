#include "proxy/telemetry/span_exporter.h"

#include <algorithm>
#include <random>

#include "proxy/base/assert.h"
#include "proxy/telemetry/otlp_sender.h"

namespace pillion::telemetry {

SpanExporter::SpanExporter(io::Loop& loop, stats::Registry& registry)
    : loop_(loop),
      registry_(registry),
      rng_(std::random_device{}()),
      inbox_(loop),
      queues_([this](SpanQueues::Wake wake) { inbox_.post([this, wake] { on_wake(wake); }); }) {}

SpanExporter::~SpanExporter() { DASSERT(client_ == nullptr); }

SpanTargetPtr SpanExporter::target(SpanTargetOptions options) {
  const std::lock_guard lock(mutex_);
  for (const auto& known : targets_) {
    SpanTargetPtr target = known.lock();
    if (target != nullptr && target->options == options) return target;
  }
  auto target = std::make_shared<SpanTarget>();
  target->id = static_cast<uint32_t>(targets_.size());
  target->options = std::move(options);
  targets_.emplace_back(target);
  return target;
}

bool SpanExporter::has_targets() const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(targets_, [](const auto& target) { return !target.expired(); });
}

void SpanExporter::use(upstream::ClusterClient& client) {
  client_ = &client;
  if (!stats_) stats_ = registry_.block<stats::OpenTelemetryStats>(stats::kControl);
}

void SpanExporter::on_wake(SpanQueues::Wake wake) {
  if (finishing_) return finish();
  if (wake == SpanQueues::Wake::kNow) return gather();
  if (!timer_.is_armed()) loop_.arm(timer_, kFlushInterval);
}

void SpanExporter::on_timer() {
  gather();
  bool sent = false;
  for (const auto& sender : senders_) sent |= sender->flush();
  if (sent) stats_->timer_flushed.inc();
  // A collector that is away keeps its own time; the rest waits for the next span.
  std::erase_if(senders_, [](const auto& sender) {
    return sender->is_idle() && sender->target().use_count() == 1;
  });
}

// Takes what workers have left.  If the timer is not armed it is from now on: what was taken does
// not wait for ever.
void SpanExporter::gather() {
  bool any = false;
  queues_.drain([&](uint32_t target, std::string_view span) {
    OtlpSender* to = sender(target);
    if (to == nullptr) return;
    to->add(span);
    any = true;
  });
  count_dropped();
  if (any && !timer_.is_armed()) loop_.arm(timer_, kFlushInterval);
}

OtlpSender* SpanExporter::sender(uint32_t target) {
  for (const auto& known : senders_) {
    if (known->target()->id == target) return known.get();
  }
  if (client_ == nullptr) return nullptr;
  SpanTargetPtr found;
  {
    const std::lock_guard lock(mutex_);
    if (target < targets_.size()) found = targets_[target].lock();
  }
  if (found == nullptr) {  // the configuration that asked for it is gone
    stats_->spans_dropped.inc();
    return nullptr;
  }
  return senders_
      .emplace_back(std::make_unique<OtlpSender>(
          OtlpSender::Context{loop_, *client_, *stats_, rng_}, std::move(found)))
      .get();
}

void SpanExporter::count_dropped() {
  if (!stats_) return;
  const uint64_t dropped = queues_.dropped();
  stats_->spans_dropped.add(dropped - dropped_counted_);
  dropped_counted_ = dropped;
}

void SpanExporter::finish() {
  finishing_ = true;
  gather();
  timer_.cancel();
  for (const auto& sender : senders_) sender->finish();
}

bool SpanExporter::is_idle() const {
  return std::ranges::all_of(senders_, [](const auto& sender) { return sender->is_idle(); });
}

void SpanExporter::close() {
  timer_.cancel();
  senders_.clear();
  client_ = nullptr;
  stats_ = {};
}

}  // namespace pillion::telemetry
