#pragma once
// One filter of the registry, configured by YAML, and exchanges that it is run with.  Time passes
// when a test says so.

#include <gtest/gtest.h>

#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "filters/registry.h"
#include "proxy/base/str.h"
#include "proxy/config/loader.h"
#include "proxy/core/filter_run.h"
#include "proxy/telemetry/header_formats.h"

namespace pillion::filters {

using Fields = std::vector<std::pair<std::string, std::string>>;
using std::chrono::milliseconds;
using std::chrono::seconds;

// What the exchanges of a test share.
struct FilterWorker {
  io::Loop loop;
  io::WriteBatch batch{loop};
  stats::Registry registry;
  Rng rng{1};
  upstream::ClusterMap clusters{upstream::ClusterContext{loop, batch, registry, 0, rng}};
  core::WorkerContext context{loop, batch, registry, clusters, 0, Rng(7), {}};
};

// The stream of one exchange; what became of it.
class Exchange final : public core::FilterHost {
 public:
  Exchange(FilterWorker& worker, const core::HttpFilterChain& chain,
           const core::FilterWorkerStates& states, route::RouteMatch match,
           const core::ConnectionInfo& connection, const Fields& fields)
      : worker_(worker), connection_(connection), match_(match), chain_(chain), states_(states) {
    info_.connection = &connection_;
    info_.request = &head;
    head.method_text = "GET";
    head.path = "/";
    head.authority = "a";
    head.scheme = "http";
    for (const auto& [name, value] : fields) {
      if (name == ":path") {
        head.path = arena_.copy(value);
      } else if (name == ":method") {
        head.method_text = arena_.copy(value);
        head.method = http::find_method(value);
      } else {
        head.headers.add_copy(name, value);
      }
    }
  }
  ~Exchange() { end(); }

  // The request's head arrives.
  void begin(bool end = true) {
    FilterHost& host = *this;
    run = arena_.create<core::FilterRun>(host, chain_, states_);
    if (run->on_request_head(end) && status == 0) passed = true;
  }
  // The application answers.
  void respond(uint16_t code) {
    response.status = code;
    (void)run->on_response_head(response, true);
  }
  // The rest of the request arrives.
  void send(std::string_view data, bool end) {
    if (run->on_request_body(data, end)) pass_request_body(data, end);
  }
  // The application's answer in parts: `response` as the test has filled it, a body, trailers.
  void respond_head(bool end = false) {
    if (run->on_response_head(response, end)) pass_response_head(response, end);
  }
  void respond_body(std::string_view data, bool end = false) {
    if (run->on_response_body(data, end)) pass_response_body(data, end);
  }
  void respond_trailers() {
    if (run->on_response_trailers(response_trailers)) pass_response_trailers(response_trailers);
  }
  void end() {
    if (run != nullptr) run->end();
  }
  [[nodiscard]] std::string header(std::string_view name) const {
    return text_of(head.headers, name);
  }
  [[nodiscard]] std::string response_header(std::string_view name) const {
    return text_of(response.headers, name);
  }

  // FilterHost
  Arena& arena() override { return arena_; }
  core::WorkerContext& worker() override { return worker_.context; }
  core::StreamInfo& info() override { return info_; }
  http::RequestHead& request() override { return head; }
  http::Headers& request_trailers() override { return trailers_; }
  const route::RouteMatch& route() override { return match_; }
  void choose_route() override {
    if (next_match) match_ = next_match;
  }
  core::RouteWish missing_route() override { return wish; }
  void pass_request_head() override { passed = true; }
  void pass_request_body(std::string_view data, bool end) override {
    body += data;
    ended = ended || end;
  }
  void pass_request_trailers() override {}
  void pass_response_head(http::ResponseHead&, bool end) override {
    response_began = true;
    response_ended = end;
  }
  void pass_response_body(std::string_view data, bool end) override {
    response_body += data;
    response_ended = response_ended || end;
  }
  void pass_response_trailers(http::Headers&) override { response_ended = trailers_passed = true; }
  void pause_request() override {}
  void resume_request() override {}
  void pause_response() override {}
  void resume_response() override {}
  void extend_request() override {}
  void invite_body() override {}
  void reply(const core::FilterReply& reply) override {
    status = response.status = reply.status;
    grpc_status = reply.grpc_status;
    details = reply.details;
    reply_body = reply.body;
    if (reply.headers != nullptr)
      reply.headers->for_each([this](const http::Field& f) { response.headers.add(f); });
    run->drop_request();
    if (run->on_response_head(response, true)) run->end();
  }
  void refuse_response() override { reply({.status = 500, .details = "too_long"}); }
  void give_up_response() override { gave_up = true; }
  void refuse_body() override {
    status = 413;
    run->drop_request();
    run->end();
  }

  route::RouteMatch next_match;  // what another choice of the route leads to, if it is there
  core::RouteWish wish;          // what could be asked for, if there is no route
  bool passed = false;           // the head came out behind the filter
  uint16_t status = 0;           // of a local reply
  std::optional<uint32_t> grpc_status;
  std::string details;
  std::string reply_body;
  std::string body;    // what came out of the request's
  bool ended = false;  // to its end
  // The same of the response.
  std::string response_body;
  bool response_began = false;
  bool response_ended = false;
  bool trailers_passed = false;
  bool gave_up = false;            // nothing more of it is wanted
  core::FilterRun* run = nullptr;  // the arena's
  Arena arena_;
  core::StreamInfo info_;
  http::RequestHead head{arena_};
  http::ResponseHead response{arena_};
  http::Headers response_trailers{arena_};

 private:
  static std::string text_of(const http::Headers& headers, std::string_view name) {
    std::string text;
    headers.for_each_of(name, [&](const http::Field& f) {
      text += text.empty() ? "" : ",";
      text += f.value;
    });
    return text;
  }
  FilterWorker& worker_;
  core::ConnectionInfo connection_;
  http::Headers trailers_{arena_};
  route::RouteMatch match_;
  const core::HttpFilterChain& chain_;
  const core::FilterWorkerStates& states_;
};

class FilterTest : public ::testing::Test {
 private:
  template <typename Parse>
  auto parse(std::string_view yaml, Parse&& parse) {
    config::Errors errors;
    const config::DocumentPtr document = config::load_text(yaml, "f", errors);
    auto value = parse(document->root(errors), {formats_, "mesh"});
    EXPECT_EQ(errors.to_string(), "") << yaml;
    EXPECT_TRUE(errors.unfinished().empty()) << yaml;
    return value;
  }

 protected:
  explicit FilterTest(std::string_view type) : type_(find(type)) {
    host_.table = &table_;
    route_.forward = std::make_unique<const route::ForwardAction>();
  }
  ~FilterTest() override { exchanges_.clear(); }

  // The filter's message as a YAML flow mapping.
  void configure(std::string_view yaml) {
    auto factory = parse(yaml, type_->parse);
    ASSERT_NE(factory, nullptr);
    exchanges_.clear();
    states_.clear();
    std::vector<core::HttpFilterChain::Entry> entries{{"f", std::move(factory), false}};
    if (behind != nullptr) entries.push_back({"behind", behind, false});
    chain_ = std::make_unique<core::HttpFilterChain>(std::move(entries));
    states_ = chain_->make_worker_states({worker.registry, 0, "web"});
  }
  // The same of a route's or its virtual host's typed_per_filter_config.
  void configure_route(std::string_view yaml) { route_.filters = overrides(yaml); }
  void configure_host(std::string_view yaml) { host_.filters = overrides(yaml); }
  void route_to(std::string cluster) {
    auto forward = std::make_unique<route::ForwardAction>();
    forward->cluster = std::move(cluster);
    route_.forward = std::move(forward);
  }

  void disable_on_route() {
    route::FilterOverrides list;
    list.push_back({"f", nullptr, true});
    route_.filters = std::make_unique<const route::FilterOverrides>(std::move(list));
  }

  // ignore_path_parameters_in_path_matching.
  void ignore_path_parameters() { host_.table = &lenient_table_; }

  // An exchange whose head has no more fields than these; lives until the end of the test.
  Exchange& exchange(const Fields& fields = {}, bool end = true) {
    Exchange& made = prepare(fields);
    made.begin(end);
    return made;
  }
  // The same, not begun.
  Exchange& prepare(const Fields& fields) {
    return exchanges_.emplace_back(worker, *chain_, states_,
                                   route::RouteMatch{&host_, &route_, nullptr}, connection, fields);
  }
  std::unique_ptr<const route::FilterOverrides> overrides(std::string_view yaml) {
    route::FilterOverrides list;
    list.push_back({"f", parse(yaml, type_->parse_route), false});
    return std::make_unique<const route::FilterOverrides>(std::move(list));
  }
  // What is wrong with a configuration.
  std::string errors_of(std::string_view yaml) { return problems(yaml, type_->parse); }
  std::string errors_of_route(std::string_view yaml) { return problems(yaml, type_->parse_route); }

  template <typename Block>
  Block& stats(std::string_view name) {
    auto block = worker.registry.block<Block>(0, name);
    Block& counters = *block;
    holds_.push_back(std::make_shared<stats::BlockRef<Block>>(std::move(block)));
    return counters;
  }

  FilterWorker worker;
  core::ConnectionInfo connection;  // of the next exchange
  // The next configure() puts it behind the filter.
  std::shared_ptr<const core::HttpFilterFactory> behind;
  std::unique_ptr<core::HttpFilterChain> chain_;
  core::FilterWorkerStates states_;

 private:
  static const core::HttpFilterType* find(std::string_view type) {
    for (const core::HttpFilterType& t : http_filters()) {
      if (t.type == type) return &t;
    }
    ADD_FAILURE() << "not in the registry: " << type;
    return nullptr;
  }
  template <typename Parse>
  std::string problems(std::string_view yaml, Parse&& parse) {
    config::Errors errors;
    const config::DocumentPtr document = config::load_text(yaml, "f", errors);
    EXPECT_NE(parse(document->root(errors), {formats_, "mesh"}), nullptr);
    return errors.to_string();
  }

  const core::HttpFilterType* type_;
  telemetry::HeaderFormats formats_;
  static route::RouteTable::Parts lenient_parts() {
    route::RouteTable::Parts parts;
    parts.ignore_path_parameters = true;
    return parts;
  }

  route::RouteTable table_{route::RouteTable::Parts{}};
  route::RouteTable lenient_table_{lenient_parts()};
  route::VirtualHost host_;
  route::Route route_;
  std::list<Exchange> exchanges_;
  std::vector<std::shared_ptr<void>> holds_;
};

}  // namespace pillion::filters
