#pragma once
// OtlpSender: the spans that wait for one collector, and the request that carries them.
//
// One request at a time.  What it failed to deliver is sent again after a growing pause, a few
// times, as long as OTLP's specification says that it may work (no connection, 429, 502, 503, 504);
// then it is dropped, and so is what finds too much waiting meanwhile.  Owned by the SpanExporter;
// lives on control's loop.

#include <string>

#include "proxy/telemetry/span_exporter.h"

namespace pillion::telemetry {

class OtlpSender final : private upstream::ClientCallObserver {
 public:
  struct Context {
    io::Loop& loop;
    upstream::ClusterClient& client;
    stats::OpenTelemetryStats& stats;
    Rng& rng;
  };
  OtlpSender(const Context& context, SpanTargetPtr target)
      : context_(context), target_(std::move(target)) {}
  ~OtlpSender() = default;
  OtlpSender(const OtlpSender&) = delete;
  OtlpSender& operator=(const OtlpSender&) = delete;

  void add(std::string_view span);
  // Sends what waits, or, if a request is under way or has failed, when that is over.  True if it
  // did so now.
  bool flush();
  // From now on nothing is tried twice, and nobody pauses.
  void finish();
  [[nodiscard]] bool is_idle() const noexcept { return sending_count_ == 0 && waiting_count_ == 0; }
  [[nodiscard]] const SpanTargetPtr& target() const noexcept { return target_; }

 private:
  void on_call_head(const http::ResponseHead& head, bool end) override;
  void on_call_data(std::string_view data, bool end) override;
  void on_call_trailers(const http::Headers& trailers) override;
  void on_call_failed(Failure failure, std::string_view reason) override;

  void send();
  void on_response_end();
  void on_failed(std::string_view reason, bool may_work_later);
  void end_batch();
  void on_pause_over();
  void drop(uint32_t count);

  Context context_;
  const SpanTargetPtr target_;
  upstream::ClientCallPtr call_;
  std::string waiting_;  // items of ScopeSpans
  std::string sending_;  // the request's body, while it is not taken
  uint32_t waiting_count_ = 0;
  uint32_t sending_count_ = 0;
  uint32_t tries_ = 0;  // of sending_
  uint16_t status_ = 0;
  Duration asked_pause_{};     // Retry-After of the response; zero: it did not say
  bool flush_missed_ = false;  // what waits should have gone already
  bool finishing_ = false;
  io::Timer pause_ = io::Timer::of<&OtlpSender::on_pause_over>(this);
};

}  // namespace pillion::telemetry
