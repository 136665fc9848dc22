// The filters of a stream: how they are made, what they know of their stream and do to it.
#include <new>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/core/filter_run.h"

namespace pillion::core {

// ---- beginning and end ----

FilterRun::FilterRun(FilterHost& host, const HttpFilterChain& chain,
                     const FilterWorkerStates& states)
    : host_(host), chain_(chain) {
  const auto& entries = chain.entries();
  DASSERT(states.size() == entries.size());
  Arena& arena = host.arena();
  slots_ = arena.allocate_array<FilterContext>(entries.size());
  levels_ = filter_levels(host_.route());
  for (size_t i = 0; i < entries.size(); ++i) {
    auto* slot = new (&slots_[i]) FilterContext(*this, static_cast<uint8_t>(i));
    slot->worker_state_ = states[i].get();
    if (find_overrides(*slot)) continue;
    slot->filter_ = entries[i].factory->create(arena, *slot);
  }
}

void FilterRun::end() {
  if (std::exchange(ended_, true)) return;
  // What waits is left to the arena: the batch may still point into it.
  request_.over = response_.over = true;
  const size_t count = chain_.entries().size();
  for (size_t i = 0; i < count; ++i) slots_[i].cancel_timer();
  for (const uint8_t i : chain_.with(FilterHook::kComplete)) {
    if (slots_[i].filter_ != nullptr) slots_[i].filter_->on_complete();
  }
}

void FilterRun::drop_request() { request_.over = true; }

bool FilterRun::find_overrides(FilterContext& slot) {
  const FilterUse use = use_of(chain_.entries()[slot.index_], levels_);
  slot.route_config_ = use.config;
  return use.is_disabled;
}

void FilterRun::choose_route() {
  host_.choose_route();
  levels_ = filter_levels(host_.route());
  const auto& entries = chain_.entries();
  for (size_t i = 0; i < entries.size(); ++i) {
    FilterContext& slot = slots_[i];
    const bool is_disabled = find_overrides(slot);
    // A route must not be reached past who guards it by way of one that is not guarded.
    const HttpFilterFactory& factory = *entries[i].factory;
    const bool judges =
        (factory.hooks() >> static_cast<unsigned>(FilterHook::kRequestSettled) & 1) != 0;
    if (judges && !is_disabled && slot.filter_ == nullptr)
      slot.filter_ = factory.create(host_.arena(), slot);
  }
}

// The filters behind `index` have seen nothing of the request.
void FilterRun::refresh_routes(uint8_t index) {
  host_.use_newest_routes();
  choose_route();
  const auto& entries = chain_.entries();
  for (size_t i = index + size_t{1}; i < entries.size(); ++i) {
    FilterContext& slot = slots_[i];
    if (find_overrides(slot)) {
      slot.filter_ = nullptr;
    } else if (slot.filter_ == nullptr) {
      slot.filter_ = entries[i].factory->create(host_.arena(), slot);
    }
  }
}

// ---- FilterContext ----

http::RequestHead& FilterContext::request() const { return run_.host_.request(); }
StreamInfo& FilterContext::info() const { return run_.host_.info(); }
const route::RouteMatch& FilterContext::route() const { return run_.host_.route(); }
Instant FilterContext::now() const { return run_.host_.worker().loop.now(); }
Rng& FilterContext::rng() const { return run_.host_.worker().rng; }
Arena& FilterContext::arena() const { return run_.host_.arena(); }
bool FilterContext::has_cluster(std::string_view name) const {
  return run_.host_.worker().clusters.has(name);
}
uint64_t FilterContext::buffer_limit() const { return run_.chain_.buffer_limit(); }
bool FilterContext::fails_health_checks() const { return run_.host_.worker().fails_health_checks; }
const route::FilterOverrides* const* FilterContext::override_levels() const {
  return run_.levels_.data();
}
std::string_view FilterContext::name() const { return run_.chain_.entries()[index_].name; }

const void* FilterContext::type() const { return run_.chain_.entries()[index_].type; }

std::string_view FilterContext::cluster() const {
  const route::RouteMatch& match = route();
  if (!match || match.route->forward == nullptr) return {};
  return route::cluster_name(match, request());
}

void FilterContext::local_reply(const FilterReply& reply) {
  if (!run_.ended_) run_.host_.reply(reply);
}

FilterVerdict FilterContext::buffer_request(uint64_t limit) {
  return run_.buffer_request(*this, limit);
}

FilterVerdict FilterContext::collect_request(uint64_t limit, bool partial) {
  return run_.collect_request(*this, limit, partial);
}

FilterVerdict FilterContext::buffer_response(uint64_t limit) {
  return run_.buffer_response(*this, limit);
}

void FilterContext::refuse_response() {
  if (!run_.ended_) run_.host_.refuse_response();
}

void FilterContext::drop_response_body() {
  FilterRun::Lane& response = run_.response_;
  response.held.clear();
  response.end = response.trailers = false;
  run_.response_head_ends_ = true;
  run_.host_.give_up_response();
}

void FilterContext::add_request_body(std::string_view body) {
  run_.request_head_ends_ = false;
  run_.request_.held.append(body);
  run_.request_.end = true;
  run_.host_.extend_request();
}

void FilterContext::replace_request_body(std::string_view bytes) {
  run_.request_.changed = bytes;
  run_.request_.is_replaced = true;
}

void FilterContext::replace_response_body(std::string_view bytes) {
  run_.response_.changed = bytes;
  run_.response_.is_replaced = true;
}

upstream::ClusterClient& FilterContext::side_calls() const {
  return run_.host_.worker().side_calls;
}

void FilterContext::await_documents(DocumentWaiter& waiter) const {
  run_.host_.worker().document_waiters.add(waiter);
}

void FilterContext::clear_route_cache() { run_.choose_route(); }

bool FilterContext::await_routes(RouteWaiter& waiter) const {
  const RouteWish wish = run_.host_.missing_route();
  return !wish.name.empty() && run_.host_.worker().route_demands.await(waiter, wish, now());
}

void FilterContext::refresh_routes() { run_.refresh_routes(index_); }

void FilterContext::arm_timer(Duration delay) {
  if (run_.ended_) return;
  if (timer_ == nullptr) {
    timer_ = arena().create<io::Timer>(io::Timer::call<&FilterContext::run_timer, FilterContext>(),
                                       this);
  }
  run_.host_.worker().loop.arm(*timer_, delay);
}

void FilterContext::set_filter_state(std::string_view key, std::string_view value) {
  StreamInfo& stream = info();
  for (FilterState* state = stream.filter_state; state != nullptr; state = state->next) {
    if (state->key != key) continue;
    state->value = value;
    return;
  }
  stream.filter_state = arena().create<FilterState>(FilterState{key, value, stream.filter_state});
}

}  // namespace pillion::core
