// envoy.filters.http.ext_authz: asks a service, by gRPC or HTTP, whether a request may pass, and
// does to the request, or to its response, what the service says.  What is asked and how answers
// are read: filters/authz/.
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "filters/authz/apply.h"
#include "filters/authz/check.h"
#include "filters/authz/config.h"
#include "filters/authz/http_check.h"
#include "filters/judged.h"
#include "filters/named_rows.h"
#include "proxy/base/response_flags.h"
#include "proxy/core/http_filter.h"
#include "proxy/core/side_call.h"
#include "proxy/http/grpc.h"
#include "proxy/http/grpc_frames.h"

namespace pillion::filters {
namespace {

using authz::Answer;
using authz::Config;
using authz::RouteConfig;
using authz::Service;
using config::Node;
using core::FilterContext;
using core::FilterVerdict;

constexpr std::string_view kMetadataSpace = "envoy.filters.http.ext_authz";

class WorkerState final : public core::FilterWorkerState {
 public:
  WorkerState(const core::FilterWorkerSetup& setup, const std::string& stat_prefix)
      : stats(setup.registry.block<stats::ExtAuthzStats>(setup.writer, setup.stat_prefix,
                                                         stat_prefix)),
        registry_(setup.registry),
        writer_(setup.writer),
        stat_prefix_(stat_prefix) {}
  // Of a cluster that there is: a route may let the client name any.
  stats::ClusterExtAuthzStats& of_cluster(std::string_view name, Instant now) {
    return clusters_.row(name, now, [this](std::string_view n) {
      return registry_.block<stats::ClusterExtAuthzStats>(writer_, n, stat_prefix_);
    });
  }
  stats::BlockRef<stats::ExtAuthzStats> stats;

 private:
  stats::Registry& registry_;
  stats::Writer writer_;
  const std::string stat_prefix_;
  NamedRows<stats::ClusterExtAuthzStats> clusters_;
};

class Factory final : public core::HttpFilterFactory {
 public:
  [[nodiscard]] core::FilterHooks hooks() const override;
  core::HttpFilter* create(Arena& arena, FilterContext& context) const override;
  [[nodiscard]] std::unique_ptr<core::FilterWorkerState> make_worker_state(
      const core::FilterWorkerSetup& setup) const override {
    return std::make_unique<WorkerState>(setup, config.stat_prefix);
  }

  Config config;
};

// What the levels of a route say together.
struct Settings {
  const Service* service;
  authz::BodySettings body;
  std::map<std::string, std::string> extensions;
};

class Filter final : public core::HttpFilter, private core::SideCallObserver {
 public:
  Filter(const Factory& factory, FilterContext& context)
      : config_(factory.config), context_(context) {}

  FilterVerdict on_request_head(http::RequestHead& head, bool end) override {
    for (const std::string_view name : {authz::kPartialBody, authz::kFailureModeAllowed})
      head.headers.remove(name);
    if (is_disabled()) return FilterVerdict::kContinue;
    is_judged_ = true;
    if (!is_enabled()) return pass_by();
    settings_ = context_.arena().create<Settings>(make_settings());
    if (head.method == http::Method::kConnect && !settings_->service->is_grpc)
      return refuse_connect();
    const bool sends_body = settings_->body.max_bytes != 0 && !end && !head.asks_tunnel();
    if (sends_body)
      return context_.collect_request(settings_->body.max_bytes, settings_->body.allow_partial);
    return ask({}, false, false);
  }
  // The service was asked about another path, or with what another route says of it, or was not
  // asked at all because the first route does not want it.  It is too late to ask.
  FilterVerdict on_request_settled(http::RequestHead& head) override {
    if (is_disabled() || is_passed_by_) return FilterVerdict::kContinue;
    if (!std::exchange(is_judged_, true)) {
      if (!is_enabled()) return pass_by();
    } else {
      Judged now = Judged::of(head, context_);
      now.route = judged_.route;  // of a route the service hears what its configuration says
      if (now == judged_) return FilterVerdict::kContinue;
    }
    count([](auto& stats) { stats.error.inc(); });
    refuse(config_.status_on_error, "ext_authz_not_asked", nullptr);
    return FilterVerdict::kStop;
  }
  FilterVerdict on_request_collected(const Buffer& body, bool is_complete) override {
    const size_t size = std::min<size_t>(body.size(), settings_->body.max_bytes);
    char* const text = context_.arena().allocate_array<char>(size);
    body.peek(text, size);
    return ask({text, size}, true, !is_complete || size < body.size());
  }
  FilterVerdict on_response_head(http::ResponseHead& head, bool) override {
    if (answer_ != nullptr && !is_refused_)
      authz::apply_to_headers(answer_->response_headers, head.headers);
    return FilterVerdict::kContinue;
  }
  void on_complete() override { call_.reset(); }

 private:
  [[nodiscard]] WorkerState& state() const { return context_.worker_state<WorkerState>(); }

  bool is_disabled() const {
    const auto* route = context_.route_config<RouteConfig>();
    return route != nullptr && route->disabled;
  }
  bool is_enabled() const {
    if (!context_.draws(config_.enabled)) return false;
    return !config_.enabled_metadata || config_.enabled_metadata->matches(context_.info().metadata);
  }
  FilterVerdict pass_by() {
    state().stats->disabled.inc();
    is_passed_by_ = true;
    if (!config_.deny_at_disable) return FilterVerdict::kContinue;
    refuse(config_.status_on_error, "ext_authz_error", nullptr);
    return FilterVerdict::kStop;
  }
  // A service of HTTP is asked by the request's own method, and what it says to a CONNECT would be
  // a tunnel.  That nobody can be asked is no failure of a service, which failure_mode_allow
  // forgives.
  FilterVerdict refuse_connect() {
    count([](auto& stats) { stats.error.inc(); });
    refuse(config_.status_on_error, "ext_authz_error", nullptr);
    return FilterVerdict::kStop;
  }
  // Extensions of all levels, the most specific ones winning; the rest of the most specific one.
  Settings make_settings() const {
    Settings out{config_.service.get(), config_.body, {}};
    bool is_first = true;
    context_.for_each_route_config([&](const route::FilterRouteConfig& config) {
      const auto& route = static_cast<const RouteConfig&>(config);
      out.extensions.insert(route.context_extensions.begin(), route.context_extensions.end());
      if (!std::exchange(is_first, false)) return;
      if (route.body) out.body = *route.body;
      if (route.service != nullptr) out.service = route.service.get();
    });
    return out;
  }

  // ---- the call ----

  FilterVerdict ask(std::string_view body, bool has_body, bool is_partial) {
    const Service& service = *settings_->service;
    const authz::NameList* allowed =
        service.is_grpc && config_.allowed_headers ? &*config_.allowed_headers : nullptr;
    const authz::Question question{config_,  context_,   settings_->extensions,         allowed,
                                   has_body, is_partial, settings_->body.pack_as_bytes, body};
    service.is_grpc ? ask_grpc(service, question) : ask_http(service, question);
    return FilterVerdict::kStop;
  }
  void ask_grpc(const Service& service, const authz::Question& question) {
    const std::string message = http::grpc_frame(authz::encode_check(question));
    std::vector<core::SideCallField> fields{{"content-type", http::kGrpcContentType}};
    for (const auto& [name, value] : service.headers) fields.push_back({name, value});
    open(service,
         {.path = authz::kCheckPath,
          .authority = service.authority,
          .fields = fields,
          .accepts_trailers = true,
          .timeout = service.timeout},
         message);
  }
  void ask_http(const Service& service, const authz::Question& question) {
    const authz::HttpQuestion http = authz::make_http_question(question, service);
    open(service,
         {.method = context_.request().method_text,
          .path = http.path,
          .authority = http.authority,
          .fields = http.fields,
          .content_length = question.body.size(),
          .timeout = service.timeout},
         question.body);
  }
  void open(const Service& service, const core::SideCallHead& head, std::string_view body) {
    core::SideCallObserver& observer = *this;
    call_ = context_.side_calls().open(service.cluster, head, observer);
    call_->send(body, true);
  }

  void on_call_head(const http::ResponseHead& head, bool end) override {
    Arena& arena = context_.arena();
    response_ = arena.create<http::ResponseHead>(arena);
    response_->status = head.status;
    head.headers.for_each(
        [this](const http::Field& f) { response_->headers.add_copy(f.name, f.value); });
    if (end) finish(response_->headers);
  }
  void on_call_data(std::string_view data, bool end) override {
    if (body_.size() + data.size() > authz::kMaxAnswer) return decide({});
    body_ += data;
    if (end) finish(response_->headers);
  }
  void on_call_trailers(const http::Headers& trailers) override { finish(trailers); }
  void on_call_failed(Failure, std::string_view) override { decide({}); }

  void finish(const http::Headers& trailers) {
    const Service& service = *settings_->service;
    Arena& arena = context_.arena();
    if (!service.is_grpc) return decide(authz::read_http_answer(*response_, body_, service, arena));
    decide(read_grpc(trailers));
  }
  // One message, whole and not compressed, of a call that ended well.
  Answer read_grpc(const http::Headers& trailers) {
    const bool is_good = response_->status == 200 && http::is_grpc(response_->headers) &&
                         http::grpc_status(trailers) == 0;
    if (!is_good) return {};
    Answer answer;
    unsigned messages = 0;
    http::GrpcFrames frames(authz::kMaxAnswer);
    const char* const wrong = frames.feed(body_, [&](std::string_view message) {
      if (++messages == 1) answer = authz::decode_check(message, context_.arena());
      return messages == 1;
    });
    return wrong == nullptr && messages == 1 && !frames.is_inside() ? answer : Answer{};
  }

  // ---- the verdict ----

  template <typename Fn>
  void count(Fn&& fn) {
    fn(*state().stats);
    const std::string_view cluster = context_.cluster();
    if (!cluster.empty() && context_.has_cluster(cluster))
      fn(state().of_cluster(cluster, context_.now()));
  }

  void decide(Answer answer) {
    call_.reset();
    body_ = {};
    answer_ = context_.arena().create<Answer>(std::move(answer));
    take_metadata();
    const authz::MutationRules* rules = config_.mutation_rules ? &*config_.mutation_rules : nullptr;
    if (!authz::is_legal(*answer_, rules)) {
      state().stats->invalid.inc();
      return refuse(500, "ext_authz_invalid", nullptr);
    }
    switch (answer_->verdict) {
      case Answer::Verdict::kOk:
        return allow(rules);
      case Answer::Verdict::kDenied:
        count([](auto& stats) { stats.denied.inc(); });
        return refuse(answer_->status == 0 ? uint16_t{403} : answer_->status, "ext_authz_denied",
                      answer_);
      case Answer::Verdict::kError:
        return fail();
    }
  }
  void allow(const authz::MutationRules* rules) {
    count([](auto& stats) { stats.ok.inc(); });
    const bool is_changed =
        authz::apply_to_request(*answer_, rules, context_.request(), context_.arena());
    if (is_changed && config_.clear_route_cache) context_.clear_route_cache();
    pass();
  }
  void fail() {
    count([](auto& stats) { stats.error.inc(); });
    if (!config_.failure_mode_allow) {
      const bool has_status = answer_->status != 0;
      return refuse(has_status ? answer_->status : config_.status_on_error, "ext_authz_error",
                    answer_);
    }
    count([](auto& stats) { stats.failure_mode_allowed.inc(); });
    answer_ = nullptr;
    if (config_.failure_mode_header)
      context_.request().headers.set(authz::kFailureModeAllowed, "true");
    pass();
  }
  void pass() {
    judged_ = Judged::of(context_.request(), context_);
    context_.resume();
  }
  void take_metadata() {
    if (answer_->metadata.kind != core::MetadataValue::Kind::kStruct) return;
    if (!config_.takes_metadata) return state().stats->ignored_dynamic_metadata.inc();
    for (const core::MetadataMember* m = answer_->metadata.first; m != nullptr; m = m->next)
      context_.set_metadata(kMetadataSpace, m->key, m->value);
  }
  // `answer`: whose headers and body the client gets; null: none.
  void refuse(uint16_t status, std::string_view details, const Answer* answer) {
    is_refused_ = true;
    context_.info().flags |= flag_bit(ResponseFlag::kUnauthorizedExternalService);
    http::Headers headers(context_.arena());
    core::FilterReply reply{.status = status, .details = details, .headers = &headers};
    if (answer != nullptr) {
      authz::apply_to_headers(answer->reply_headers, headers);
      reply.body = answer->body;
      if (config_.max_reply_body != 0) reply.body = reply.body.substr(0, config_.max_reply_body);
    }
    context_.local_reply(reply);
  }

  const Config& config_;
  FilterContext& context_;
  const Settings* settings_ = nullptr;      // the arena's, as all of these
  http::ResponseHead* response_ = nullptr;  // of the call
  const Answer* answer_ = nullptr;
  std::string body_;  // of the call's response
  core::SideCallPtr call_;
  Judged judged_;  // as the service left it
  bool is_judged_ = false;
  bool is_passed_by_ = false;  // nobody is asked about this request
  bool is_refused_ = false;
};

core::FilterHooks Factory::hooks() const { return core::hooks_of<Filter>(); }
core::HttpFilter* Factory::create(Arena& arena, FilterContext& context) const {
  return arena.create<Filter>(*this, context);
}

std::shared_ptr<const core::HttpFilterFactory> parse(const Node& node,
                                                     const core::FilterParseContext& context) {
  auto factory = std::make_shared<Factory>();
  factory->config = authz::parse_config(node, context);
  return factory;
}

std::shared_ptr<const route::FilterRouteConfig> parse_route(
    const Node& node, const core::FilterParseContext& context) {
  return authz::parse_route_config(node, context);
}

}  // namespace

extern const core::HttpFilterType kExtAuthz;
const core::HttpFilterType kExtAuthz{"envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
                                     "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
                                     parse, parse_route};

}  // namespace pillion::filters
