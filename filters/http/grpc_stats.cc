// envoy.filters.http.grpc_stats: counts calls of gRPC by cluster, service and method: how they
// ended, and their messages, while they pass.
//
// Calls count in the row of their method if it has one, else in their cluster's.  Which methods
// have one: those of the allowlist; or all (stats_for_all_methods), up to kMaxMethods.  As any
// client can call what there is not, a method gets its row once a server has taken a call of it:
// not for UNIMPLEMENTED, and not for what the proxy answers itself.
#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <vector>

#include "filters/http/grpc_stats_table.h"
#include "proxy/core/http_filter.h"
#include "proxy/http/grpc.h"
#include "proxy/http/grpc_messages.h"

namespace pillion::filters {
namespace {

using config::Node;
using core::FilterContext;
using core::FilterVerdict;
using stats::GrpcStats;

// On a worker, of one connection manager; documented in filters/README.md.
constexpr size_t kMaxMethods = 512;
constexpr int64_t kUnimplemented = 12;

struct WorkerState final : core::FilterWorkerState {
  explicit WorkerState(const core::FilterWorkerSetup& setup)
      : table(setup.registry, setup.writer) {}
  GrpcTable table;
};

class Filter;

class Factory final : public core::HttpFilterFactoryOf<Filter, Factory, WorkerState> {
 public:
  enum class Listed : uint8_t { kNone, kSome, kAll };

  [[nodiscard]] bool is_listed(const GrpcMethod& wanted) const {
    for (const auto& [service, methods] : services) {
      if (service != wanted.service) continue;
      for (const std::string& method : methods) {
        if (method == wanted.method) return true;
      }
    }
    return false;
  }

  struct Service {
    std::string name;
    std::vector<std::string> methods;
  };
  Listed listed = Listed::kNone;
  std::vector<Service> services;  // individual_method_stats_allowlist
  bool emits_filter_state = false;
  bool times_upstream = false;
  bool replaces_dots = false;
};

constexpr std::array<stats::Counter GrpcStats::*, 17> kCodes = {
    &GrpcStats::code_0,  &GrpcStats::code_1,  &GrpcStats::code_2,  &GrpcStats::code_3,
    &GrpcStats::code_4,  &GrpcStats::code_5,  &GrpcStats::code_6,  &GrpcStats::code_7,
    &GrpcStats::code_8,  &GrpcStats::code_9,  &GrpcStats::code_10, &GrpcStats::code_11,
    &GrpcStats::code_12, &GrpcStats::code_13, &GrpcStats::code_14, &GrpcStats::code_15,
    &GrpcStats::code_16};

class Filter final : public core::HttpFilter {
 public:
  Filter(const Factory& factory, FilterContext& context) : factory_(factory), context_(context) {}

  FilterVerdict on_request_head(http::RequestHead& head, bool) override {
    is_call_ = http::is_grpc(head.headers);
    if (!is_call_) return FilterVerdict::kContinue;
    cluster_ = context_.arena().copy(context_.cluster());
    method_ = grpc_method(head.path);
    counts_ = !method_.method.empty() && context_.has_cluster(cluster_);
    if (counts_) find_row();
    return FilterVerdict::kContinue;
  }
  FilterVerdict on_request_body(std::string_view data, bool) override {
    if (!is_call_) return FilterVerdict::kContinue;
    const uint32_t n = sent_.take(data);
    if (row_ != nullptr) row_->stats->request_message_count.add(n);
    return FilterVerdict::kContinue;
  }
  FilterVerdict on_response_head(http::ResponseHead& head, bool end) override {
    if (!is_call_) return FilterVerdict::kContinue;
    const auto status = http::grpc_status(head.headers);
    answers_ = end ? status.has_value() : head.status == 200 && http::is_grpc(head.headers);
    if (!counts_ || !answers_) return FilterVerdict::kContinue;
    if (row_ == nullptr) settle(end ? status : std::nullopt);
    if (end) count_status(*status);
    return FilterVerdict::kContinue;
  }
  FilterVerdict on_response_body(std::string_view data, bool) override {
    if (!answers_) return FilterVerdict::kContinue;
    const uint32_t n = received_.take(data);
    if (row_ != nullptr) row_->stats->response_message_count.add(n);
    return FilterVerdict::kContinue;
  }
  FilterVerdict on_response_trailers(http::Headers& trailers) override {
    if (!counts_ || row_ == nullptr) return FilterVerdict::kContinue;
    if (const auto status = http::grpc_status(trailers)) count_status(*status);
    return FilterVerdict::kContinue;
  }
  void on_complete() override {
    if (factory_.emits_filter_state && sent_.count() + received_.count() != 0) emit_filter_state();
    if (!counts_) return;
    if (row_ == nullptr && sent_.count() != 0) use(row_of({}));
    if (row_ == nullptr) return;
    const core::StreamTimes& t = context_.info().times;
    if (factory_.times_upstream && t.us_tx_end != Instant{} && t.us_rx_end >= t.us_tx_end)
      row_->stats->upstream_rq_time.record(t.us_rx_end - t.us_tx_end);
    --row_->users;
  }

 private:
  GrpcTable& table() { return context_.worker_state<WorkerState>().table; }
  GrpcTable::Entry& row_of(const GrpcMethod& method) {
    GrpcTable::Entry* row = table().find({cluster_, method});
    if (row != nullptr) return *row;
    tidy();
    return table().make({cluster_, method},
                        factory_.replaces_dots && factory_.listed == Factory::Listed::kAll);
  }
  void tidy() {
    table().tidy([this](std::string_view name) { return context_.has_cluster(name); });
  }
  // What was counted so far goes there too.
  void use(GrpcTable::Entry& row) {
    row_ = &row;
    ++row.users;
    row.stats->request_message_count.add(sent_.count());
  }

  void find_row() {
    using Listed = Factory::Listed;
    if (factory_.listed == Listed::kNone) return use(row_of({}));
    if (GrpcTable::Entry* row = table().find({cluster_, method_})) return use(*row);
    if (factory_.listed == Listed::kAll) return;  // with its first answer
    use(row_of(factory_.is_listed(method_) ? method_ : GrpcMethod{}));
  }
  // The first answer to a method that has no row yet.  `status`: that is all of it.
  void settle(std::optional<int64_t> status) {
    const bool was_taken = context_.info().response_details == "via_upstream" &&
                           status != kUnimplemented && is_plain(method_);
    if (!was_taken) return use(row_of({}));
    if (table().methods() >= kMaxMethods) tidy();
    if (table().methods() < kMaxMethods) return use(row_of(method_));
    use(row_of({}));
    row_->stats->method_overflow.inc();
  }
  void count_status(int64_t status) {
    GrpcStats& stats = *row_->stats;
    stats.total.inc();
    (status == 0 ? stats.success : stats.failure).inc();
    const auto index = static_cast<uint64_t>(status);
    (index < kCodes.size() ? stats.*kCodes[index] : stats.code_other).inc();
  }

  // As %FILTER_STATE(envoy.filters.http.grpc_stats)% shows it in Envoy.
  void emit_filter_state() {
    constexpr std::string_view kParts[] = {"{\"request_message_count\":\"",
                                           "\",\"response_message_count\":\"", "\"}"};
    const uint64_t counts[] = {sent_.count(), received_.count()};
    char* const begin = context_.arena().allocate_array<char>(128);
    char* at = begin;
    for (size_t i = 0; i < std::size(kParts); ++i) {
      at = std::ranges::copy(kParts[i], at).out;
      if (i < std::size(counts)) at = std::to_chars(at, begin + 128, counts[i]).ptr;
    }
    context_.set_filter_state("envoy.filters.http.grpc_stats",
                              {begin, static_cast<size_t>(at - begin)});
  }

  const Factory& factory_;
  FilterContext& context_;
  std::string_view cluster_;
  GrpcMethod method_;
  GrpcTable::Entry* row_ = nullptr;
  http::GrpcMessages sent_, received_;
  bool is_call_ = false;
  bool counts_ = false;   // to a cluster, with a method
  bool answers_ = false;  // the response is one of gRPC
};

Factory::Service parse_service(const Node& node) {
  Factory::Service service{node["name"].as_string(), {}};
  const Node methods = node.required("method_names");
  for (const Node item : methods.items()) {
    std::string method = item.as_string();
    if (!method.empty() && !service.name.empty() && !is_plain({service.name, method}))
      item.expected("the name of a method: letters, digits, _ and -");
    service.methods.push_back(std::move(method));
  }
  if (methods.is_present() && methods.size() == 0) methods.expected("at least one method");
  node.reject_unknown_keys();
  return service;
}

std::shared_ptr<const core::HttpFilterFactory> parse(const Node& node,
                                                     const core::FilterParseContext&) {
  auto factory = std::make_shared<Factory>();
  const Node which = node.one_of({"individual_method_stats_allowlist", "stats_for_all_methods"},
                                 config::Need::kAtMostOne);
  if (which.is_present() && which.key() == "stats_for_all_methods") {
    if (which.as_bool()) factory->listed = Factory::Listed::kAll;
  } else if (which.is_present()) {
    factory->listed = Factory::Listed::kSome;
    for (const Node item : which["services"].items())
      factory->services.push_back(parse_service(item));
    which.reject_unknown_keys();
  }
  factory->emits_filter_state = node["emit_filter_state"].as_bool_or(false);
  factory->times_upstream = node["enable_upstream_stats"].as_bool_or(false);
  factory->replaces_dots = node["replace_dots_in_grpc_service_name"].as_bool_or(false);
  if (factory->replaces_dots && factory->listed != Factory::Listed::kAll) {
    node["replace_dots_in_grpc_service_name"].warn(
        "has no effect without stats_for_all_methods, as in Envoy");
  }
  node.reject_unknown_keys();
  return factory;
}

}  // namespace

extern const core::HttpFilterType kGrpcStats;
const core::HttpFilterType kGrpcStats{
    "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", {}, parse};

}  // namespace pillion::filters
