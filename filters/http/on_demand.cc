// envoy.filters.http.on_demand: a request that has no route waits while its virtual host (VHDS), or
// the route table of its scope (SRDS), is asked for; see core/route_demand.h.
//
// It stands before the filters that depend on the route: those behind it see the one that came. The
// wait ends with an answer, or after kPatience; without a route the request is then answered as
// ever: 404.
#include "filters/registry.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "proxy/core/http_filter.h"

namespace pillion::filters {
namespace {

using core::FilterVerdict;

// Of clients, not of configuration: as long as Envoy waits for a cluster on demand.
constexpr Duration kPatience = std::chrono::seconds(5);

struct Factory;

class Filter final : public core::HttpFilter {
 public:
  Filter(const Factory&, core::FilterContext& context) : context_(context), waiter_(*this) {}

  FilterVerdict on_request_head(http::RequestHead&, bool) override {
    if (context_.route() || !context_.await_routes(waiter_)) return FilterVerdict::kContinue;
    context_.arm_timer(kPatience);
    return FilterVerdict::kStop;
  }
  void on_timer() override { go_on(); }
  void on_complete() override { waiter_.stop_waiting(); }

 private:
  struct Waiter final : core::RouteWaiter {
    explicit Waiter(Filter& filter) : filter_(filter) {}
    void on_routes() override { filter_.look_again(); }

   private:
    Filter& filter_;
  };

  void look_again() {
    context_.refresh_routes();
    // A table that has come may have VHDS itself.
    if (!context_.route() && context_.await_routes(waiter_)) return;
    go_on();
  }
  void go_on() {
    context_.cancel_timer();
    waiter_.stop_waiting();
    context_.resume();
  }

  core::FilterContext& context_;
  Waiter waiter_;
};

struct Factory final : core::HttpFilterFactoryOf<Filter, Factory> {
  [[nodiscard]] core::FilterExplanation explain(const core::FilterQuestion& q) const override {
    if (q.route || q.missing.name.empty()) return {};
    const bool is_host = q.missing.kind == core::RouteKind::kVirtualHost;
    return {str("before that, the control plane is asked for the ",
                is_host ? "virtual host \"" : "routes \"", config::printable(q.missing.name),
                is_host ? "\" (VHDS)" : "\" (RDS)", "; the request waits for ",
                kPatience / std::chrono::seconds(1), "s at most"),
            false};
  }
};
struct Nothing final : route::FilterRouteConfig {};

void close(const config::Node& node) {
  node.unsupported({"odcds"}, "clusters on demand come with a later version",
                   config::Unknown::kAlwaysError);
  node.reject_unknown_keys();
}

std::shared_ptr<const core::HttpFilterFactory> parse(const config::Node& node,
                                                     const core::FilterParseContext&) {
  close(node);
  return std::make_shared<const Factory>();
}

std::shared_ptr<const route::FilterRouteConfig> parse_route(const config::Node& node,
                                                            const core::FilterParseContext&) {
  close(node);
  return std::make_shared<const Nothing>();
}

}  // namespace

extern const core::HttpFilterType kOnDemand;
const core::HttpFilterType kOnDemand = {"envoy.extensions.filters.http.on_demand.v3.OnDemand",
                                        "envoy.extensions.filters.http.on_demand.v3.PerRouteConfig",
                                        parse, parse_route};

}  // namespace pillion::filters
