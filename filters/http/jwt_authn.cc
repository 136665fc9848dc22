// envoy.filters.http.jwt_authn: requests must carry the JSON Web Tokens that a rule, or their
// route, asks for; else they are answered with 401 (403 for the wrong audience).  What tokens are
// and how they are judged: filters/jwt/.
//
// Everything that tokens write (claim_to_headers, forward_payload_header) is removed from each
// request first, whether a rule asks for a token or not: a client may not forge it.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "filters/judged.h"
#include "filters/jwt/checker.h"
#include "filters/route_path.h"
#include "proxy/base/rng.h"
#include "proxy/base/str.h"
#include "proxy/core/http_filter.h"
#include "proxy/route/request_match.h"

namespace pillion::filters {
namespace {

using config::Node;
using config::Unknown;
using core::FilterContext;
using core::FilterVerdict;
using jwt::Checker;
using jwt::Requirement;
using jwt::Status;

constexpr size_t kMaxRealm = 256;  // of the path in WWW-Authenticate

struct Rule {
  route::RequestMatch match;
  const Requirement* requirement = nullptr;  // null: nothing is asked
};

struct NamedRequirement {
  std::string name;
  std::unique_ptr<const Requirement> requirement;
};

// The list is sorted by name: every rule asks it.
const Requirement* find(const std::vector<NamedRequirement>& list, std::string_view name) {
  const auto it = std::ranges::lower_bound(list, name, {}, &NamedRequirement::name);
  return it == list.end() || it->name != name ? nullptr : it->requirement.get();
}

// PerRouteConfig.
struct RouteConfig final : route::FilterRouteConfig {
  std::string requirement;  // empty: disabled
};

// The configuration.
class Factory final : public core::HttpFilterFactory {
 public:
  [[nodiscard]] core::FilterHooks hooks() const override;
  core::HttpFilter* create(Arena& arena, FilterContext& context) const override;
  [[nodiscard]] std::unique_ptr<core::FilterWorkerState> make_worker_state(
      const core::FilterWorkerSetup& setup) const override {
    return std::make_unique<jwt::WorkerState>(setup, providers, stat_prefix);
  }
  [[nodiscard]] std::vector<std::shared_ptr<core::SharedDocument>> documents() const override {
    std::vector<std::shared_ptr<core::SharedDocument>> list;
    for (const auto& provider : providers.list) {
      if (provider->remote_keys != nullptr) list.push_back(provider->remote_keys);
    }
    return list;
  }

  jwt::Providers providers;
  std::vector<Rule> rules;  // the first that matches counts
  std::vector<NamedRequirement> requirement_map;
  std::vector<std::unique_ptr<const Requirement>> own_requirements;  // of rules
  std::string filter_state;                                          // empty: none is looked at
  std::vector<NamedRequirement> filter_state_rules;                  // by its value
  bool bypasses_preflight = false;
  bool strips_failures = false;
  std::string stat_prefix;  // ".x", or empty
};

class Filter final : public core::HttpFilter {
 public:
  Filter(const Factory& factory, FilterContext& context) : factory_(factory), context_(context) {}

  FilterVerdict on_request_head(http::RequestHead& head, bool /*end*/) override {
    if (const auto settled = judge(head)) return *settled;
    if (must_wait(*requirement_)) return wait();
    return check();
  }
  // Another route, or another path, may ask for another token.  Its keys are there or it is
  // refused; one that was stripped is missing.
  FilterVerdict on_request_settled(http::RequestHead& head) override {
    if (is_judged_ && judged_ == Judged::of(head, context_)) return FilterVerdict::kContinue;
    const Requirement* const before = requirement_;
    is_settled_ = true;
    if (const auto settled = judge(head)) return *settled;
    return requirement_ == before ? FilterVerdict::kContinue : check();
  }
  void on_timer() override { go_on(); }
  void on_complete() override {
    if (waiter_ != nullptr) waiter_->unlink();
  }

 private:
  // Told when keys have come.
  struct Waiter final : core::DocumentWaiter {
    explicit Waiter(Filter& filter) : filter_(filter) {}
    void on_documents() override { filter_.on_documents(); }

   private:
    Filter& filter_;
  };

  [[nodiscard]] jwt::WorkerState& state() const {
    return context_.worker_state<jwt::WorkerState>();
  }
  static bool is_preflight(const http::RequestHead& head) {
    const auto has = [&head](std::string_view name) {
      const http::Field* field = head.headers.find(name);
      return field != nullptr && !field->value.empty();
    };
    return head.method == http::Method::kOptions && has("origin") &&
           has("access-control-request-method");
  }
  // Counts a request once, however often it is judged.
  FilterVerdict pass() {
    if (!std::exchange(is_counted_, true)) state().stats->allowed.inc();
    return FilterVerdict::kContinue;
  }

  // The verdict, unless it hangs on what requirement_ asks.
  std::optional<FilterVerdict> judge(http::RequestHead& head) {
    judged_ = Judged::of(head, context_);
    if (!std::exchange(is_judged_, true)) seed_ = context_.rng().next();
    const auto* route = context_.route_config<RouteConfig>();
    const bool is_disabled = route != nullptr && route->requirement.empty();
    if (!is_disabled && !std::exchange(is_clean_, true)) {
      for (const auto& provider : factory_.providers.list)
        jwt::remove_forgeable(*provider, head.headers);
    }
    if (factory_.bypasses_preflight && is_preflight(head)) {
      if (!is_counted_) state().stats->cors_preflight_bypassed.inc();
      return pass();
    }
    requirement_ = choose();
    if (is_answered_) return FilterVerdict::kStop;
    if (requirement_ == nullptr) return pass();
    realm_ = make_realm(head);
    return std::nullopt;
  }

  // What is asked of this request: of its route, of the first rule that matches, or of its filter
  // state.  Null: nothing.  A route may ask for what there is not, and that is answered.
  const Requirement* choose() {
    if (const auto* route = context_.route_config<RouteConfig>()) {
      if (route->requirement.empty()) return nullptr;
      const Requirement* const named = find(factory_.requirement_map, route->requirement);
      if (named == nullptr) refuse_route(route->requirement);
      return named;
    }
    const http::RequestHead& head = context_.request();
    const std::string_view path = path_of(head, context_.route());
    Rng draws(seed_);  // for shares of requests: the same ones each time
    for (const Rule& rule : factory_.rules) {
      if (rule.match.matches(head, path, draws.next())) return rule.requirement;
    }
    if (factory_.filter_state.empty()) return nullptr;
    for (const core::FilterState* s = context_.info().filter_state; s != nullptr; s = s->next) {
      if (s->key == factory_.filter_state) return find(factory_.filter_state_rules, s->value);
    }
    return nullptr;
  }

  bool must_wait(const Requirement& requirement) {
    const auto is_pending = [](const auto& p) { return jwt::WorkerState::is_pending(*p); };
    if (std::ranges::none_of(factory_.providers.list, is_pending)) return false;
    return Checker(factory_.providers, state(), context_).must_wait(requirement);
  }
  // At most as long as a fetch may take.
  FilterVerdict wait() {
    waiter_ = context_.arena().create<Waiter>(*this);
    context_.await_documents(*waiter_);
    Duration limit{};
    for (const auto& provider : factory_.providers.list) {
      if (provider->remote_keys != nullptr)
        limit = std::max(limit, provider->remote_keys->source().timeout);
    }
    context_.arm_timer(limit);
    return FilterVerdict::kStop;
  }
  void on_documents() {
    if (must_wait(*requirement_)) return context_.await_documents(*waiter_);
    go_on();
  }
  // The wait is over; keys that are still missing are a failure now.
  void go_on() {
    context_.cancel_timer();
    waiter_->unlink();
    if (check() == FilterVerdict::kContinue) context_.resume();
  }

  FilterVerdict check() {
    Checker checker(factory_.providers, state(), context_);
    Status status = checker.check(*requirement_);
    if (status == Status::kOk && checker.clears_route_cache() && !is_settled_) {
      context_.clear_route_cache();
      judged_ = Judged::of(context_.request(), context_);
      // Another route may ask for more, and the verdict is not one about that.
      const Requirement* const now = choose();
      if (is_answered_) return FilterVerdict::kStop;
      if (now != nullptr && now != requirement_) {
        requirement_ = now;
        status = checker.check(*now);
      }
    }
    if (status == Status::kOk) return pass();
    refuse(status);
    return FilterVerdict::kStop;
  }

  // "http://a.example/path", as the client asked for it, for WWW-Authenticate.
  std::string_view make_realm(const http::RequestHead& head) const {
    if (head.path.empty()) return {};
    const std::string_view path = head.path.substr(0, kMaxRealm);
    Arena& arena = context_.arena();
    const size_t most = head.scheme.size() + 3 + 2 * (head.authority.size() + path.size());
    char* const text = arena.allocate_array<char>(most);
    char* end = text;
    const auto put = [&end](std::string_view part) {
      for (const char c : part) {
        if (c == '"' || c == '\\') *end++ = '\\';  // it is a quoted-string
        *end++ = c;
      }
    };
    end = std::ranges::copy(head.scheme, end).out;
    end = std::ranges::copy(std::string_view("://"), end).out;
    put(head.authority);
    put(path);
    return {text, static_cast<size_t>(end - text)};
  }

  std::string_view joined(std::initializer_list<std::string_view> parts) const {
    size_t size = 0;
    for (const std::string_view part : parts) size += part.size();
    char* const text = context_.arena().allocate_array<char>(size);
    char* end = text;
    for (const std::string_view part : parts) end = std::ranges::copy(part, end).out;
    return {text, size};
  }
  // Without spaces, for logs that are split at them.
  std::string_view details_of(std::string_view reason) const {
    const std::string_view text = joined({"jwt_authn_access_denied{", reason, "}"});
    char* const chars = context_.arena().allocate_array<char>(text.size());
    std::ranges::replace_copy(text, chars, ' ', '_');
    return {chars, text.size()};
  }
  void refuse(Status status) {
    is_answered_ = true;
    state().stats->denied.inc();
    http::Headers headers(context_.arena());
    core::FilterReply reply;
    reply.status = status == Status::kAudienceNotAllowed ? 403 : 401;
    reply.details = details_of(jwt::text_of(status));
    if (!factory_.strips_failures) {
      reply.body = jwt::text_of(status);
      const std::string_view error =
          status == Status::kMissing ? "\"" : "\", error=\"invalid_token\"";
      headers.add("www-authenticate", joined({"Bearer realm=\"", realm_, error}));
      reply.headers = &headers;
    }
    context_.local_reply(reply);
  }
  // The route's configuration names a requirement that the filter has not.
  void refuse_route(std::string_view name) {
    is_answered_ = true;
    state().stats->denied.inc();
    std::string names;
    for (const NamedRequirement& named : factory_.requirement_map)
      names += str(names.empty() ? "" : ",", named.name);
    const std::string_view reason =
        joined({"Wrong requirement_name: ", name, ". It should be one of [", names, "]"});
    core::FilterReply reply{.status = 403, .details = details_of(reason)};
    if (!factory_.strips_failures) reply.body = joined({"Failed JWT authentication: ", reason});
    context_.local_reply(reply);
  }

  const Factory& factory_;
  FilterContext& context_;
  const Requirement* requirement_ = nullptr;  // null: nothing was asked
  Waiter* waiter_ = nullptr;                  // the arena's
  std::string_view realm_;
  Judged judged_;
  uint64_t seed_ = 0;  // of what is drawn for rules
  bool is_judged_ = false;
  bool is_counted_ = false;  // as allowed
  bool is_clean_ = false;    // of what a client may have forged
  bool is_settled_ = false;
  bool is_answered_ = false;
};

core::FilterHooks Factory::hooks() const { return core::hooks_of<Filter>(); }
core::HttpFilter* Factory::create(Arena& arena, FilterContext& context) const {
  return arena.create<Filter>(*this, context);
}

// ---- parsing ----

void parse_providers(Factory& out, const Node& map, const core::FilterParseContext& context) {
  for (const config::Entry entry : map.entries()) {
    const auto index = static_cast<uint32_t>(out.providers.list.size());
    auto provider = jwt::parse_provider(entry, index, out.stat_prefix, context);
    out.providers.locations.push_back(std::make_unique<const jwt::Locations>(*provider));
    out.providers.by_name.emplace(provider->name, provider.get());
    out.providers.list.push_back(std::move(provider));
  }
  out.providers.all_locations = std::make_unique<const jwt::Locations>(out.providers.list);
}

std::vector<NamedRequirement> parse_requirement_map(const Node& map,
                                                    const jwt::Providers& providers) {
  std::vector<NamedRequirement> out;
  for (const config::Entry entry : map.entries()) {
    out.push_back({std::string(entry.key), std::make_unique<const Requirement>(
                                               jwt::parse_requirement(entry.node, providers))});
  }
  std::ranges::sort(out, {}, &NamedRequirement::name);
  return out;
}

Rule parse_rule(Factory& out, const Node& node) {
  Rule rule;
  rule.match = route::parse_request_match(node.required("match"));
  (void)node.one_of({"requires", "requirement_name"}, config::Need::kAtMostOne);
  if (const Node name = node["requirement_name"]; name.is_present()) {
    rule.requirement = find(out.requirement_map, name.as_string());
    if (rule.requirement == nullptr && !name.raw().empty()) {
      std::vector<std::string_view> names;
      for (const NamedRequirement& named : out.requirement_map) names.emplace_back(named.name);
      name.unknown_name("requirement", names);
    }
  } else if (const Node requires_node = node["requires"]; requires_node.is_present()) {
    out.own_requirements.push_back(
        std::make_unique<const Requirement>(jwt::parse_requirement(requires_node, out.providers)));
    rule.requirement = out.own_requirements.back().get();
  }
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return rule;
}

std::string parse_stat_prefix(const Node& node) {
  const std::string text = node.as_string_or("");
  return text.empty() ? std::string() : str('.', text);
}

std::shared_ptr<const core::HttpFilterFactory> parse(const Node& node,
                                                     const core::FilterParseContext& context) {
  auto factory = std::make_shared<Factory>();
  factory->stat_prefix = parse_stat_prefix(node["stat_prefix"]);
  parse_providers(*factory, node["providers"], context);
  factory->requirement_map = parse_requirement_map(node["requirement_map"], factory->providers);
  for (const Node item : node["rules"].items())
    factory->rules.push_back(parse_rule(*factory, item));
  if (const Node state = node["filter_state_rules"]; state.is_present()) {
    factory->filter_state = state["name"].as_string();
    factory->filter_state_rules = parse_requirement_map(state["requires"], factory->providers);
    state.reject_unknown_keys(Unknown::kAlwaysError);
  }
  factory->bypasses_preflight = node["bypass_cors_preflight"].as_bool_or(false);
  factory->strips_failures = node["strip_failure_response"].as_bool_or(false);
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return factory;
}

std::shared_ptr<const route::FilterRouteConfig> parse_route(const Node& node,
                                                            const core::FilterParseContext&) {
  auto config = std::make_shared<RouteConfig>();
  const Node specifier = node.one_of({"disabled", "requirement_name"});
  if (specifier.is_present() && node.has("disabled")) {
    if (!specifier.as_bool()) specifier.expected("true");
  } else {
    config->requirement = node["requirement_name"].as_string();
  }
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return config;
}

}  // namespace

extern const core::HttpFilterType kJwtAuthn;
const core::HttpFilterType kJwtAuthn{"envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
                                     "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig",
                                     parse, parse_route};

}  // namespace pillion::filters
