#include "proxy/telemetry/otlp_sender.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "proxy/telemetry/otlp.h"

namespace pillion::telemetry {
namespace {

// A batch of this size does not wait for the timer.
constexpr size_t kBatchBytes = 512 * 1024;
constexpr size_t kMaxWaitingBytes = 4 * 1024 * 1024;
constexpr uint32_t kMaxTries = 5;
constexpr Duration kFirstPause = std::chrono::seconds(1);
constexpr Duration kLongestPause = std::chrono::seconds(30);
constexpr Duration kLongestAskedPause = std::chrono::minutes(5);

constexpr bool may_work_later(uint16_t status) noexcept {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

// Retry-After in seconds (OTLP/HTTP, "Throttling"); its other form, a date, counts as absent.
Duration pause_in(const http::ResponseHead& head) noexcept {
  const http::Field* const field = head.headers.find("retry-after");
  if (field == nullptr) return {};
  uint32_t seconds = 0;
  const char* const end = field->value.data() + field->value.size();
  const auto [at, error] = std::from_chars(field->value.data(), end, seconds);
  if (error != std::errc{} || at != end) return {};
  return std::min<Duration>(std::chrono::seconds(seconds), kLongestAskedPause);
}

}  // namespace

void OtlpSender::add(std::string_view span) {
  if (waiting_count_ >= target_->options.max_waiting || waiting_.size() >= kMaxWaitingBytes)
    return drop(1);
  append_span(waiting_, span);
  ++waiting_count_;
  if (waiting_.size() >= kBatchBytes) flush();
}

bool OtlpSender::flush() {
  if (waiting_count_ == 0) return false;
  flush_missed_ = sending_count_ != 0;
  if (flush_missed_) return false;
  sending_ = write_request(target_->options.resource, waiting_);
  sending_count_ = std::exchange(waiting_count_, 0);
  waiting_ = {};
  tries_ = 0;
  send();
  return true;
}

void OtlpSender::send() {
  const SpanTargetOptions& options = target_->options;
  std::vector<upstream::CallField> fields = {{"content-type", "application/x-protobuf"},
                                             {"user-agent", "pillion"}};
  for (const auto& [name, value] : options.fields) fields.push_back({name, value});
  ++tries_;
  status_ = 0;
  asked_pause_ = {};
  call_ = context_.client.open(options.cluster,
                               {.method = "POST",
                                .path = options.path,
                                .authority = options.authority,
                                .fields = fields,
                                .content_length = sending_.size(),
                                .accepts_trailers = false,
                                .timeout = options.timeout},
                               *this);
  context_.stats.http_reports_sent.inc();
  call_->send(sending_, true);
}

void OtlpSender::on_call_head(const http::ResponseHead& head, bool end) {
  status_ = head.status;
  asked_pause_ = pause_in(head);
  if (end) on_response_end();
}

// What the collector says about parts that it refused is not looked at.
void OtlpSender::on_call_data(std::string_view, bool end) {
  if (end) on_response_end();
}

void OtlpSender::on_call_trailers(const http::Headers&) { on_response_end(); }

void OtlpSender::on_call_failed(Failure failure, std::string_view reason) {
  on_failed(reason.empty() ? failure.row().details : reason, true);
}

void OtlpSender::on_response_end() {
  if (status_ / 100 != 2) return on_failed(str("status ", status_), may_work_later(status_));
  context_.stats.spans_sent.add(sending_count_);
  end_batch();
}

void OtlpSender::on_failed(std::string_view reason, bool may_work_later) {
  call_.reset();
  context_.stats.http_reports_failed.inc();
  const bool again = may_work_later && tries_ < kMaxTries && !finishing_;
  static log::Limit limit{std::chrono::seconds(10)};
  log::warning(limit, log::kTracing, "spans not delivered",
               {{"cluster", target_->options.cluster},
                {"spans", sending_count_},
                {"reason", reason},
                {"try", tries_},
                {"again", again}});
  if (!again) {
    drop(sending_count_);
    return end_batch();
  }
  const Duration span = std::min(kFirstPause * (1 << (tries_ - 1)), kLongestPause);
  const auto jitter = context_.rng.below(static_cast<uint64_t>(span.count() / 2));
  const Duration own = span / 2 + Duration(static_cast<int64_t>(jitter));
  context_.loop.arm(pause_, std::max(own, asked_pause_));
}

void OtlpSender::end_batch() {
  call_.reset();
  sending_ = {};
  sending_count_ = 0;
  if (finishing_ || flush_missed_) flush();
}

void OtlpSender::on_pause_over() { send(); }

void OtlpSender::finish() {
  finishing_ = true;
  if (pause_.is_armed()) {
    pause_.cancel();
    return send();
  }
  flush();
}

void OtlpSender::drop(uint32_t count) { context_.stats.spans_dropped.add(count); }

}  // namespace pillion::telemetry
