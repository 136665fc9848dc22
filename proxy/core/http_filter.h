#pragma once
// HttpFilter: what looks at, changes, delays or answers the exchanges of a connection manager.  The
// one header that filters/ includes of core/; filters/README.md shows how to write one.
//
// A filter object serves one exchange: its factory makes it in the stream's arena when the route
// has been chosen, and it dies with the stream.  The factory is the filter's configuration:
// immutable, shared by all workers.
//
//   on_request_head (on_request_settled) (on_request_body)* (on_request_trailers)?
//                                                                  filters in the list's order
//   on_response_head (on_response_body)* (on_response_trailers)?   in the reverse order
//   on_complete
//
// - Request hooks run after the route was chosen and before there is an attempt; also without a
//   route, which only the router asks for.  1xx responses pass by.
// - The response hooks run for local replies too, whoever makes them: possibly before, or without,
//   a request hook of the same filter.
// - kStop: the filter has replied, or will call FilterContext::resume() later (not from within the
//   hook).  What it was given waits, and so does all that comes after it in that direction: in a
//   bounded buffer, behind which the peer is paused.  A filter that follows sees the exchange in
//   order: never a body before its head.
// - A body comes in pieces of at most 17 KiB, the last one with `end` set, perhaps empty; or
//   trailers end it.  Only filters with a hook for bodies cost anything there.  A piece may be
//   replaced by other bytes, or none, and response trailers by a last piece; whoever changes the
//   length of a body says so in its head (framing, content_length).
// - A reply of the proxy that takes the place of a response that still waits in front of a filter
//   (it broke off, or was refused) passes by the response hooks: on_response_replaced() instead.
// - After on_complete, which is called exactly once, when the exchange is over or broken off, no
//   hook and no timer of the filter is called.
//
// Side calls are in core/side_call.h, documents that control fetches for all workers in
// core/shared_document.h.  A chosen upstream host (design section 11) comes with the filters that
// need one.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "proxy/base/buffer.h"
#include "proxy/base/ref.h"
#include "proxy/base/rng.h"
#include "proxy/config/scalars.h"
#include "proxy/core/route_demand.h"
#include "proxy/core/shared_document.h"
#include "proxy/core/stream_info.h"
#include "proxy/http/message.h"
#include "proxy/io/peer_certificate.h"
#include "proxy/io/timer_wheel.h"
#include "proxy/route/route_table.h"
#include "proxy/stats/registry.h"

namespace pillion::upstream {
class ClusterClient;
}

namespace pillion::core {

class FilterRun;

enum class FilterVerdict : uint8_t { kContinue, kStop };

// A response that waits in front of a filter.
struct BufferedResponse {
  http::ResponseHead& head;
  const Buffer& body;
  const http::Headers* trailers;  // null: none
  bool is_complete;               // else there is more of it than the limit
};

class HttpFilter {
 public:
  virtual FilterVerdict on_request_head(http::RequestHead& /*head*/, bool /*end*/) {
    return FilterVerdict::kContinue;
  }
  virtual FilterVerdict on_request_body(std::string_view /*data*/, bool /*end*/) {
    return FilterVerdict::kContinue;
  }
  virtual FilterVerdict on_request_trailers(http::Headers& /*trailers*/) {
    return FilterVerdict::kContinue;
  }
  // The head has passed all filters and goes to the router.  For filters that allow or deny: the
  // verdict is void if the route or the path changed after it, by a filter behind or before
  // (design section 9).  Such a filter is there also if only a later route enables it; it may not
  // have seen on_request_head then.  kStop: it has replied; it cannot wait.
  virtual FilterVerdict on_request_settled(http::RequestHead& /*head*/) {
    return FilterVerdict::kContinue;
  }
  virtual FilterVerdict on_response_head(http::ResponseHead& /*head*/, bool /*end*/) {
    return FilterVerdict::kContinue;
  }
  virtual FilterVerdict on_response_body(std::string_view /*data*/, bool /*end*/) {
    return FilterVerdict::kContinue;
  }
  virtual FilterVerdict on_response_trailers(http::Headers& /*trailers*/) {
    return FilterVerdict::kContinue;
  }
  // FilterContext::buffer_request()'s: the body, of `size` bytes, is complete; the head goes on
  // after this.
  virtual void on_request_buffered(http::RequestHead& /*head*/, uint64_t /*size*/) {}
  // FilterContext::collect_request()'s: as much of the body as was asked for, or all of it.  The
  // verdict is that on the head: kContinue lets it go on, and the body behind it.
  virtual FilterVerdict on_request_collected(const Buffer& /*body*/, bool /*is_complete*/) {
    return FilterVerdict::kContinue;
  }
  // FilterContext::buffer_response()'s: all of the response is here, or more than the limit.
  // kContinue: its head goes on behind the filter, then the body from the first filter on.
  virtual FilterVerdict on_response_buffered(const BufferedResponse& /*response*/) {
    return FilterVerdict::kContinue;
  }
  // A local reply goes out instead of the response whose head has begun its way through the
  // filters; maybe this one never saw it.  The filter may change the head, but not stop it; no
  // other hook sees the reply.
  virtual void on_response_replaced(http::ResponseHead& /*head*/) {}
  // The last call; just before the access log is written.
  virtual void on_complete() {}
  // FilterContext::arm_timer()'s.
  virtual void on_timer() {}

 protected:
  // Destroyed as what it is, by the arena: a filter of trivial members costs nothing there.
  ~HttpFilter() = default;
};

// Which hooks a filter class overrides: the chain calls only these.
enum class FilterHook : uint8_t {
  kRequestHead,
  kRequestBody,
  kRequestTrailers,
  kResponseHead,
  kResponseBody,
  kResponseTrailers,
  kComplete,
  kRequestSettled,
  kCount
};
using FilterHooks = uint8_t;  // bit 1 << hook

template <typename Filter>
constexpr FilterHooks hooks_of() {
  FilterHooks hooks = 0;
  const auto add = [&hooks](FilterHook hook, bool is_overridden) {
    if (is_overridden) hooks = static_cast<FilterHooks>(hooks | 1u << static_cast<unsigned>(hook));
  };
#define PILLION_HOOK(hook, method) \
  add(FilterHook::hook, !std::is_same_v<decltype(&Filter::method), decltype(&HttpFilter::method)>)
  PILLION_HOOK(kRequestHead, on_request_head);
  PILLION_HOOK(kRequestBody, on_request_body);
  PILLION_HOOK(kRequestTrailers, on_request_trailers);
  PILLION_HOOK(kResponseHead, on_response_head);
  PILLION_HOOK(kResponseBody, on_response_body);
  PILLION_HOOK(kResponseTrailers, on_response_trailers);
  PILLION_HOOK(kComplete, on_complete);
  PILLION_HOOK(kRequestSettled, on_request_settled);
#undef PILLION_HOOK
  return hooks;
}

// What a filter keeps per worker (its counters, mostly), for all chains' streams of one connection
// manager.  Lives as long as any of them, and goes on over updates that keep the factory (routes
// come by RDS, another filter by ECDS); only its worker touches it.
class FilterWorkerState : public RefCounted<FilterWorkerState> {
 public:
  virtual ~FilterWorkerState() = default;
};

struct FilterWorkerSetup {
  stats::Registry& registry;
  stats::Writer writer;          // for Registry::block()
  std::string_view stat_prefix;  // of the connection manager
};

// A reply that a filter makes; the texts are copied or outlive the stream.
struct FilterReply {
  uint16_t status = 200;
  std::string_view body = {};
  std::string_view details = {};           // %RESPONSE_CODE_DETAILS%
  const http::Headers* headers = nullptr;  // added to the reply's; of the stream's arena
  // For a gRPC request: its status, instead of the one that `status` stands for.
  std::optional<uint32_t> grpc_status = {};
};

// What a filter may ask of the stream and do to it.  One for each filter and stream; the factory
// hands it to the filter, which keeps the reference.
class FilterContext {
 public:
  FilterContext(FilterRun& run, uint8_t index) noexcept : run_(run), index_(index) {}

  // ---- what is known ----
  [[nodiscard]] http::RequestHead& request() const;
  // Facts of the stream; filters set its `flags` and is_health_check.
  [[nodiscard]] StreamInfo& info() const;
  [[nodiscard]] const ConnectionInfo& connection() const { return *info().connection; }
  [[nodiscard]] bool has_cluster(std::string_view name) const;
  // Empty if no route matches.
  [[nodiscard]] const route::RouteMatch& route() const;
  // The cluster that the route names for this request; empty if it does not forward.
  [[nodiscard]] std::string_view cluster() const;
  // The most specific configuration of this filter in the route's levels: of the weighted cluster,
  // the route, the virtual host, the table.  Null: the factory's holds.
  template <typename Config>
  [[nodiscard]] const Config* route_config() const {
    return static_cast<const Config*>(route_config_);
  }
  // Those of all levels, the most specific first.
  template <typename Fn>
  void for_each_route_config(Fn&& fn) const;
  // What the factory's make_worker_state() made.
  template <typename State>
  [[nodiscard]] State& worker_state() const {
    return static_cast<State&>(*worker_state_);
  }
  [[nodiscard]] Instant now() const;  // of this turn
  [[nodiscard]] Rng& rng() const;
  // Is this request one of that share?  Drawn anew by each call.
  [[nodiscard]] bool draws(config::Fraction share) const {
    if (share.numerator == 0) return false;
    return share.numerator >= share.denominator || rng().below(share.denominator) < share.numerator;
  }
  // Freed after the access log.
  [[nodiscard]] Arena& arena() const;
  // The listener's per_connection_buffer_limit_bytes: what a filter may make wait of a request or a
  // response, if its own configuration says nothing else.
  [[nodiscard]] uint64_t buffer_limit() const;
  // The server shall look unhealthy (/healthcheck/fail).
  [[nodiscard]] bool fails_health_checks() const;

  // ---- what can be done ----
  // What this filter stopped goes on behind it; nothing if it did not.
  void resume();
  // Answers, and drops the request; after the head of a response went out it is broken off instead.
  // The response hooks run.  Then return kStop.
  void local_reply(const FilterReply& reply);
  // From within on_request_head, as its verdict: the head waits until the body is complete, and
  // then has a Content-Length.  More than `limit` bytes are answered with 413.
  [[nodiscard]] FilterVerdict buffer_request(uint64_t limit);
  // From within on_request_head, as its verdict: the head waits until the body is complete, or, if
  // `partial`, until `limit` bytes of it are here; then on_request_collected() is called. Without
  // `partial` more than `limit` bytes are answered with 413.
  [[nodiscard]] FilterVerdict collect_request(uint64_t limit, bool partial);
  // From within on_response_head, as its verdict: head, body and trailers wait until the response
  // is complete or longer than `limit`, and then on_response_buffered() is called.  kContinue at
  // once for a response without a body.
  [[nodiscard]] FilterVerdict buffer_response(uint64_t limit);
  // From within on_response_buffered: 500 takes the place of a response that is too long.  Then
  // return kStop.
  void refuse_response();
  // From within on_response_buffered: the response ends with its head.  What waits of its body and
  // trailers is dropped, and the upstream need not send the rest.  Then return kContinue.
  void drop_response_body();
  // From within on_request_head of a request that ends with it: this is its body.
  void add_request_body(std::string_view body);
  // From within the hook for a body: these bytes go on behind the filter instead of the piece. They
  // are part of it, or the filter's, which leaves them alone until its next hook of that direction.
  void replace_request_body(std::string_view bytes);
  void replace_response_body(std::string_view bytes);
  // From within on_response_trailers: the response ends with these bytes of body instead.
  void replace_response_trailers(std::string_view bytes) { replace_response_body(bytes); }
  // Chooses the route again, after what it depends on was changed; from the request's hooks, until
  // its head has passed them all.  Filters behind see the new one's configuration; which of them
  // are disabled was settled by the first, but those that judge (on_request_settled) come back if
  // the new one enables them.
  void clear_route_cache();
  // The filter's on_timer() once, unless it is armed again, cancelled or the stream ends.
  void arm_timer(Duration delay);
  void cancel_timer() {
    if (timer_ != nullptr) timer_->cancel();
  }
  // A named text about this stream, for access logs (%FILTER_STATE(key)%) and other filters.  The
  // views live as long as the stream.
  void set_filter_state(std::string_view key, std::string_view value);
  // Calls that the filter has beside its exchange; it ends them in on_complete at the latest.
  [[nodiscard]] upstream::ClusterClient& side_calls() const;
  // The waiter is told once when a document has changed; it unlinks itself in on_complete at the
  // latest.
  void await_documents(DocumentWaiter& waiter) const;
  // For a request that has no route, while on_request_head's verdict on it is kStop: the waiter is
  // told when there may be one.  False: nobody could bring one.  It stops waiting in on_complete at
  // the latest.
  [[nodiscard]] bool await_routes(RouteWaiter& waiter) const;
  // Chooses the route again, by the configuration in force now.  While this filter has stopped the
  // head: for filters behind it the new route decides whether they are disabled, too.
  void refresh_routes();
  // Dynamic metadata, for access logs (%DYNAMIC_METADATA(space:key)%) and other filters, who find
  // it in info().metadata.  What the value points to lives as long as the stream.
  void set_metadata(std::string_view space, std::string_view key, const MetadataValue& value) {
    info().metadata.set(arena(), space, key, value);
  }

 private:
  friend class FilterRun;
  void run_timer() { filter_->on_timer(); }
  [[nodiscard]] const route::FilterOverrides* const* override_levels() const;
  [[nodiscard]] std::string_view name() const;
  [[nodiscard]] const void* type() const;

  FilterRun& run_;
  HttpFilter* filter_ = nullptr;  // null: disabled for this stream
  const route::FilterRouteConfig* route_config_ = nullptr;
  FilterWorkerState* worker_state_ = nullptr;
  io::Timer* timer_ = nullptr;  // made on first use
  uint8_t index_;               // in the chain
};

// What `pillion explain` asks of a filter: a request that nobody sent.
struct FilterQuestion {
  const http::RequestHead& head;
  const ConnectionInfo& connection;
  const route::RouteMatch& route;
  const route::FilterRouteConfig* route_config;  // null: the factory's holds
  RouteWish missing = {};                        // what could be asked for, if there is no route
};
struct FilterExplanation {
  std::string text;      // for people; empty: nothing to say
  bool refuses = false;  // the request ends here
};

// The configuration of one filter of a list.  Immutable, shared by workers.
class HttpFilterFactory {
 public:
  virtual ~HttpFilterFactory() = default;
  // Of those that allow, deny or wait.
  [[nodiscard]] virtual FilterExplanation explain(const FilterQuestion& /*question*/) const {
    return {};
  }
  [[nodiscard]] virtual FilterHooks hooks() const = 0;
  virtual HttpFilter* create(Arena& arena, FilterContext& context) const = 0;
  // Once per worker and connection manager, unless an update hands the former one on; null for
  // none.
  [[nodiscard]] virtual std::unique_ptr<FilterWorkerState> make_worker_state(
      const FilterWorkerSetup& /*setup*/) const {
    return nullptr;
  }
  // What control is to fetch for all workers as long as this configuration is in force.
  [[nodiscard]] virtual std::vector<std::shared_ptr<SharedDocument>> documents() const {
    return {};
  }
};

// The state of a filter that keeps only counters: those of the connection manager's stat_prefix.
template <typename Block>
struct FilterCounters final : FilterWorkerState {
  explicit FilterCounters(const FilterWorkerSetup& setup)
      : stats(setup.registry.block<Block>(setup.writer, setup.stat_prefix)) {}
  stats::BlockRef<Block> stats;
};

// A factory whose filters are made of (const Factory&, FilterContext&), and their state of a
// worker, if they have one, of (const FilterWorkerSetup&).
template <typename Filter, typename Factory, typename WorkerState = void>
class HttpFilterFactoryOf : public HttpFilterFactory {
 public:
  [[nodiscard]] std::unique_ptr<FilterWorkerState> make_worker_state(
      [[maybe_unused]] const FilterWorkerSetup& setup) const final {
    if constexpr (std::is_void_v<WorkerState>) {
      return nullptr;
    } else {
      return std::make_unique<WorkerState>(setup);
    }
  }
  [[nodiscard]] FilterHooks hooks() const final { return hooks_of<Filter>(); }
  HttpFilter* create(Arena& arena, FilterContext& context) const final {
    return arena.create<Filter>(static_cast<const Factory&>(*this), context);
  }
};

struct FilterParseContext {
  const route::FormatFactory& formats;  // values with operators
  std::string_view node_cluster;        // node.cluster of the bootstrap, may be empty
  // Gets each cluster that a filter names, to be looked up; null: nobody looks.
  std::vector<config::Located<std::string>>* clusters = nullptr;
};

// A type of filter: a row of the registry (filters/registry.cc).
struct HttpFilterType {
  std::string_view type;  // of its message: "envoy.extensions.filters.http.fault.v3.HTTPFault"
  std::string_view route_type;  // of its message in typed_per_filter_config; empty: takes none
  // From the fields of the message, which they close; errors go to the node's list.  Never null.
  std::shared_ptr<const HttpFilterFactory> (*parse)(const config::Node& node,
                                                    const FilterParseContext& context);
  std::shared_ptr<const route::FilterRouteConfig> (*parse_route)(
      const config::Node& node, const FilterParseContext& context) = nullptr;
};

template <typename Fn>
void FilterContext::for_each_route_config(Fn&& fn) const {
  for (const route::FilterOverrides* const* level = override_levels(); *level != nullptr; ++level) {
    for (const route::FilterOverride& override : **level) {
      if (override.config != nullptr && override.filter == name() && override.type == type())
        fn(*override.config);
    }
  }
}

}  // namespace pillion::core
