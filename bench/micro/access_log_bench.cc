// What a line of the access log costs a worker: formatting, and handing it to the writer thread.

#include <benchmark/benchmark.h>

#include "proxy/base/log.h"
#include "proxy/base/log_queue.h"
#include "proxy/base/log_writer.h"
#include "proxy/config/loader.h"
#include "proxy/config/node.h"
#include "proxy/telemetry/access_log.h"
#include "proxy/telemetry/json_format.h"
#include "tests/unit/telemetry/sample.h"

namespace pillion::telemetry {
namespace {

void DefaultLine(benchmark::State& state) {
  const Sample sample;
  std::string line;
  for (auto _ : state) {
    line.clear();
    Format::default_line().append(line, sample.info);
    benchmark::DoNotOptimize(line.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(line.size()) * state.iterations());
}
BENCHMARK(DefaultLine);

void JsonLine(benchmark::State& state) {
  const Sample sample;
  config::Errors errors;
  const auto document = config::load_text(
      "{ start_time: '%START_TIME%', method: '%REQ(:METHOD)%', path: "
      "'%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%', "
      "protocol: '%PROTOCOL%', response_code: '%RESPONSE_CODE%', response_flags: "
      "'%RESPONSE_FLAGS%', "
      "bytes_received: '%BYTES_RECEIVED%', bytes_sent: '%BYTES_SENT%', duration: '%DURATION%', "
      "x_forwarded_for: '%REQ(X-FORWARDED-FOR)%', user_agent: '%REQ(USER-AGENT)%', "
      "request_id: '%REQ(X-REQUEST-ID)%', authority: '%REQ(:AUTHORITY)%', upstream_host: "
      "'%UPSTREAM_HOST%' }",
      "bench", errors);
  const auto format = JsonFormat::parse(document->root(errors), {});
  std::string line;
  for (auto _ : state) {
    line.clear();
    format.append(line, sample.info);
    benchmark::DoNotOptimize(line.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(line.size()) * state.iterations());
}
BENCHMARK(JsonLine);

// All of it, with the writer thread at work: the default line to /dev/null.
void LogToWriter(benchmark::State& state) {
  LogWriter writer({.queue_bytes = 64 << 20});
  writer.start();
  {
    const Sample sample;
    const AccessLog log(nullptr, LineFormat(), *writer.open("/dev/null"));
    for (auto _ : state) log.log(sample.info);
  }
  writer.stop();
  state.counters["dropped"] = static_cast<double>(writer.stats().dropped);
}
BENCHMARK(LogToWriter);

void QueuePush(benchmark::State& state) {
  LogQueue queue(1 << 20);
  const std::string line(200, 'x');
  for (auto _ : state) {
    if (!queue.push(1, line)) queue.drain([](uint32_t, std::string_view) {});
  }
}
BENCHMARK(QueuePush);

// A line of the operational log whose level is off.
void DisabledLogLine(benchmark::State& state) {
  const Sample sample;
  for (auto _ : state) {
    log::debug(log::kUpstream, "connect failed",
               {{"host", sample.connection.remote}, {"after", 250ms}});
    benchmark::ClobberMemory();
  }
}
BENCHMARK(DisabledLogLine);

}  // namespace
}  // namespace pillion::telemetry
