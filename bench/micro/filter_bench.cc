// What the filters of a stream cost: making them, both heads through them, the end.  Budget: 30 ns
// a request for each configured filter that does nothing (issue 4); the first row is the frame that
// any chain needs.

#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "filters/registry.h"
#include "proxy/base/str.h"
#include "proxy/config/loader.h"
#include "proxy/core/filter_run.h"
#include "proxy/telemetry/header_formats.h"

namespace pillion::filters {
namespace {

class Host final : public core::FilterHost {
 public:
  Arena& arena() override { return arena_; }
  core::WorkerContext& worker() override { return worker_; }
  core::StreamInfo& info() override { return info_; }
  http::RequestHead& request() override { return *head_; }
  http::Headers& request_trailers() override { return head_->headers; }
  const route::RouteMatch& route() override { return match_; }
  void choose_route() override {}
  void pass_request_head() override {}
  void pass_request_body(std::string_view, bool) override {}
  void pass_request_trailers() override {}
  void pass_response_head(http::ResponseHead&, bool) override {}
  void pass_response_body(std::string_view, bool) override {}
  void pass_response_trailers(http::Headers&) override {}
  void pause_request() override {}
  void resume_request() override {}
  void pause_response() override {}
  void resume_response() override {}
  void invite_body() override {}
  void reply(const core::FilterReply&) override {}
  void extend_request() override {}
  void refuse_response() override {}
  void give_up_response() override {}
  void refuse_body() override {}

  void exchange(const core::HttpFilterChain* chain, const core::FilterWorkerStates& states) {
    arena_.clear();
    head_ = arena_.create<http::RequestHead>(arena_);
    head_->path = "/users/7";
    head_->headers.add("user-agent", "bench/1.0");
    head_->headers.add("accept", "*/*");
    auto* response = arena_.create<http::ResponseHead>(arena_);
    response->status = 200;
    if (chain == nullptr) return;
    core::FilterHost& host = *this;
    auto* run = arena_.create<core::FilterRun>(host, *chain, states);
    benchmark::DoNotOptimize(run->on_request_head(true));
    benchmark::DoNotOptimize(run->on_response_head(*response, false));
    benchmark::DoNotOptimize(run->on_response_body("x", true));
    run->end();
  }
  stats::Registry& registry() { return registry_; }

 private:
  io::Loop loop_;
  io::WriteBatch batch_{loop_};
  stats::Registry registry_;
  Rng rng_{1};
  upstream::ClusterMap clusters_{upstream::ClusterContext{loop_, batch_, registry_, 0, rng_}};
  core::WorkerContext worker_{loop_, batch_, registry_, clusters_, 0, Rng(1), {}};
  Arena arena_;
  core::StreamInfo info_;
  http::RequestHead* head_ = nullptr;
  route::RouteMatch match_;
};

struct Idle {
  std::string_view type;
  std::string_view yaml;
};
constexpr Idle kFault{"envoy.extensions.filters.http.fault.v3.HTTPFault",
                      "{ delay: { fixed_delay: 1s, percentage: 100% }, headers: [ { name: x-fault, "
                      "present_match: true } ] }"};
constexpr Idle kMutation{"envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
                         "{ mutations: { request_mutations: [ { remove: x-none } ] } }"};
constexpr Idle kBuffer{"envoy.extensions.filters.http.buffer.v3.Buffer",
                       "{ max_request_bytes: 1000 }"};
constexpr Idle kHealth{"envoy.extensions.filters.http.health_check.v3.HealthCheck",
                       "{ pass_through_mode: false, headers: [ { name: ':path', string_match: { "
                       "exact: /healthz } } ] }"};
constexpr Idle kLimit{"envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
                      "{ stat_prefix: l }"};

std::unique_ptr<core::HttpFilterChain> chain_of(const std::vector<Idle>& list) {
  const telemetry::HeaderFormats formats;
  std::vector<core::HttpFilterChain::Entry> entries;
  for (const Idle& idle : list) {
    for (const core::HttpFilterType& type : http_filters()) {
      if (type.type != idle.type) continue;
      config::Errors errors;
      const auto document = config::load_text(idle.yaml, "bench", errors);
      entries.push_back(
          {str("f", entries.size()), type.parse(document->root(errors), {formats, {}}), false});
    }
  }
  return std::make_unique<core::HttpFilterChain>(std::move(entries));
}

void run(benchmark::State& state, const std::vector<Idle>& list) {
  Host host;
  const auto chain = list.empty() ? nullptr : chain_of(list);
  core::FilterWorkerStates states;
  if (chain != nullptr) states = chain->make_worker_states({host.registry(), 0, "web"});
  for (auto _ : state) host.exchange(chain.get(), states);
}

void FilterNone(benchmark::State& state) { run(state, {}); }
BENCHMARK(FilterNone);
void FilterOneOfOneHook(benchmark::State& state) { run(state, {kBuffer}); }
BENCHMARK(FilterOneOfOneHook);
void FilterTwoOfOneHook(benchmark::State& state) { run(state, {kBuffer, kBuffer}); }
BENCHMARK(FilterTwoOfOneHook);
void FilterFault(benchmark::State& state) { run(state, {kBuffer, kFault}); }
BENCHMARK(FilterFault);
void FilterHeaderMutation(benchmark::State& state) { run(state, {kBuffer, kMutation}); }
BENCHMARK(FilterHeaderMutation);
void FilterHealthCheck(benchmark::State& state) { run(state, {kBuffer, kHealth}); }
BENCHMARK(FilterHealthCheck);
void FilterLocalRateLimit(benchmark::State& state) { run(state, {kBuffer, kLimit}); }
BENCHMARK(FilterLocalRateLimit);
void FilterAllFive(benchmark::State& state) {
  run(state, {kBuffer, kFault, kMutation, kHealth, kLimit});
}
BENCHMARK(FilterAllFive);

}  // namespace
}  // namespace pillion::filters
