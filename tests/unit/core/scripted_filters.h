#pragma once
// A FilterRun over a stream that only notes what it is asked for, and filters that do what a test
// tells them and note what they were called with.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/core/filter_run.h"
#include "proxy/upstream/cluster_map.h"

namespace pillion::core {

using Calls = std::vector<std::string>;

// "a.request_head" -> what the hook does; kContinue without an entry.
using Script = std::map<std::string, std::function<FilterVerdict(FilterContext&)>>;

struct ScriptedRoute final : route::FilterRouteConfig {
  explicit ScriptedRoute(std::string t) : text(std::move(t)) {}
  std::string text;
};

class ScriptedFilter;

class ScriptedFactory final : public HttpFilterFactoryOf<ScriptedFilter, ScriptedFactory> {
 public:
  ScriptedFactory(std::string n, Script& s, Calls& c) : name(std::move(n)), script(s), calls(c) {}
  std::string name;
  Script& script;
  Calls& calls;
};

class ScriptedFilter final : public HttpFilter {
 public:
  ScriptedFilter(const ScriptedFactory& factory, FilterContext& context)
      : factory_(factory), context_(context) {}
  FilterVerdict on_request_head(http::RequestHead&, bool end) override {
    return call("request_head", end ? "end" : "");
  }
  FilterVerdict on_request_body(std::string_view data, bool end) override {
    return call("request_body", str(data, end ? " end" : ""));
  }
  FilterVerdict on_request_trailers(http::Headers&) override {
    return call("request_trailers", "");
  }
  FilterVerdict on_response_head(http::ResponseHead&, bool end) override {
    return call("response_head", end ? "end" : "");
  }
  FilterVerdict on_response_body(std::string_view data, bool end) override {
    return call("response_body", str(data, end ? " end" : ""));
  }
  FilterVerdict on_response_trailers(http::Headers&) override {
    return call("response_trailers", "");
  }
  // Noted only where a test speaks of them.
  void on_request_buffered(http::RequestHead&, uint64_t size) override {
    if (has("request_buffered")) (void)call("request_buffered", str(size));
  }
  FilterVerdict on_response_buffered(const BufferedResponse& r) override {
    if (!has("response_buffered")) return FilterVerdict::kContinue;
    return call("response_buffered", str(r.body.size(), r.trailers == nullptr ? "" : " trailers",
                                         r.is_complete ? "" : " of more"));
  }
  void on_complete() override { (void)call("complete", ""); }
  void on_timer() override { (void)call("timer", ""); }

 private:
  [[nodiscard]] bool has(std::string_view hook) const {
    return factory_.script.contains(str(factory_.name, '.', hook));
  }
  FilterVerdict call(std::string_view hook, std::string_view what) {
    const std::string key = str(factory_.name, '.', hook);
    const auto* config = context_.route_config<ScriptedRoute>();
    factory_.calls.push_back(str(key, config == nullptr ? "" : str('(', config->text, ')'),
                                 what.empty() ? "" : " ", what.substr(0, 20)));
    const auto it = factory_.script.find(key);
    return it == factory_.script.end() ? FilterVerdict::kContinue : it->second(context_);
  }
  const ScriptedFactory& factory_;
  FilterContext& context_;
};

// The stream: what passes, and what it is asked for, lines up in `calls` behind the filters'.
class FilterRunTest : public ::testing::Test, protected FilterHost {
 protected:
  // Filters of these names, in the list's order; `disabled` of them are so unless a route says
  // otherwise.
  FilterRun& make(std::vector<std::string> names, std::vector<std::string> disabled = {}) {
    std::vector<HttpFilterChain::Entry> entries;
    for (const std::string& name : names) {
      entries.push_back({name, std::make_shared<ScriptedFactory>(name, script, calls),
                         std::ranges::find(disabled, name) != disabled.end()});
    }
    chain = std::make_unique<HttpFilterChain>(std::move(entries), buffer_limit);
    states = chain->make_worker_states({registry, 0, "web"});
    FilterHost& host = *this;
    run = arena_.create<FilterRun>(host, *chain, states);
    return *run;
  }
  void on(const std::string& hook, std::function<FilterVerdict(FilterContext&)> what) {
    script[hook] = std::move(what);
  }
  // The hook stops; resume(hook) later.
  void stops(const std::string& hook) {
    on(hook, [this, hook](FilterContext& context) {
      stopped[hook] = &context;
      return FilterVerdict::kStop;
    });
  }
  void resume(const std::string& hook) { stopped.at(hook)->resume(); }
  static std::function<FilterVerdict(FilterContext&)> replies(uint16_t status) {
    return [status](FilterContext& context) {
      context.local_reply({.status = status, .details = "scripted"});
      return FilterVerdict::kStop;
    };
  }
  Calls take() { return std::exchange(calls, {}); }
  void note(std::string what) { calls.push_back(std::move(what)); }

  // FilterHost
  Arena& arena() override { return arena_; }
  WorkerContext& worker() override { return worker_; }
  StreamInfo& info() override { return info_; }
  http::RequestHead& request() override { return request_; }
  http::Headers& request_trailers() override { return trailers; }
  const route::RouteMatch& route() override { return match; }
  void choose_route() override {
    note("choose_route");
    match = next_match;
  }
  void pass_request_head() override { note("pass request_head"); }
  void pass_request_body(std::string_view data, bool end) override {
    passed += data;
    note(str("pass request_body ", data.substr(0, 20), end ? " end" : ""));
  }
  void pass_request_trailers() override { note("pass request_trailers"); }
  void pass_response_head(http::ResponseHead&, bool end) override {
    note(str("pass response_head", end ? " end" : ""));
  }
  void pass_response_body(std::string_view data, bool end) override {
    note(str("pass response_body ", data.substr(0, 20), end ? " end" : ""));
  }
  void pass_response_trailers(http::Headers&) override { note("pass response_trailers"); }
  void pause_request() override { note("pause request"); }
  void resume_request() override { note("resume request"); }
  void pause_response() override { note("pause response"); }
  void resume_response() override { note("resume response"); }
  void extend_request() override { note("extend request"); }
  void invite_body() override { note("invite body"); }
  // As the stream does: the reply goes through the response filters, and then all is over.
  void reply(const FilterReply& reply) override {
    note(str("reply ", reply.status, ' ', reply.details));
    run->drop_request();
    if (run->on_response_head(local, true)) run->end();
  }
  void refuse_response() override {
    note("refuse response");
    reply({.status = 500, .details = "too_long"});
  }
  void give_up_response() override { note("give up response"); }
  void refuse_body() override {
    note("refuse body");
    run->drop_request();
    run->end();
  }

  io::Loop loop;
  io::WriteBatch batch{loop};
  stats::Registry registry;
  Rng rng{1};
  upstream::ClusterMap clusters{upstream::ClusterContext{loop, batch, registry, 0, rng}};
  WorkerContext worker_{loop, batch, registry, clusters, 0, Rng(1), {}};
  Script script;
  Calls calls;
  std::map<std::string, FilterContext*> stopped;
  uint32_t buffer_limit = HttpFilterChain::kDefaultBufferLimit;
  std::unique_ptr<HttpFilterChain> chain;
  FilterWorkerStates states;
  route::RouteMatch match;
  route::RouteMatch next_match;
  std::string passed;
  Arena arena_;
  StreamInfo info_;
  http::RequestHead request_{arena_};
  http::ResponseHead response{arena_};
  http::ResponseHead local{arena_};
  http::Headers trailers{arena_};
  FilterRun* run = nullptr;  // the arena's
};

}  // namespace pillion::core
