#include "proxy/core/filter_run.h"

#include <new>
#include <utility>

#include "proxy/base/assert.h"

namespace pillion::core {

// What differs between the two directions.
struct FilterRun::Request {
  static Lane& lane(FilterRun& run) { return run.request_; }
  static constexpr FilterHook hook(Part part) {
    return static_cast<FilterHook>(static_cast<uint8_t>(FilterHook::kRequestHead) +
                                   static_cast<uint8_t>(part));
  }
  static FilterVerdict call(FilterRun& run, HttpFilter& filter, Part part, std::string_view data,
                            bool end) {
    switch (part) {
      case Part::kHead:
        return filter.on_request_head(run.host_.request(), end);
      case Part::kBody:
        return filter.on_request_body(data, end);
      case Part::kTrailers:
        break;
    }
    return filter.on_request_trailers(run.host_.request_trailers());
  }
  static bool head_ends(const FilterRun& run) { return run.request_head_ends_; }
  static void pass_head(FilterRun& run) { run.host_.pass_request_head(); }
  static void pass_body(FilterRun& run, std::string_view data, bool end) {
    run.host_.pass_request_body(data, end);
  }
  static void pass_trailers(FilterRun& run) { run.host_.pass_request_trailers(); }
  static void pause(FilterRun& run) { run.host_.pause_request(); }
  static void unpause(FilterRun& run) { run.host_.resume_request(); }
};

struct FilterRun::Response {
  static Lane& lane(FilterRun& run) { return run.response_; }
  static constexpr FilterHook hook(Part part) {
    return static_cast<FilterHook>(static_cast<uint8_t>(FilterHook::kResponseHead) +
                                   static_cast<uint8_t>(part));
  }
  static FilterVerdict call(FilterRun& run, HttpFilter& filter, Part part, std::string_view data,
                            bool end) {
    switch (part) {
      case Part::kHead:
        return filter.on_response_head(*run.response_head_, end);
      case Part::kBody:
        return filter.on_response_body(data, end);
      case Part::kTrailers:
        break;
    }
    return filter.on_response_trailers(*run.response_trailers_);
  }
  static bool head_ends(const FilterRun& run) { return run.response_head_ends_; }
  static void pass_head(FilterRun& run) {
    run.host_.pass_response_head(*run.response_head_, run.response_head_ends_);
  }
  static void pass_body(FilterRun& run, std::string_view data, bool end) {
    run.host_.pass_response_body(data, end);
  }
  static void pass_trailers(FilterRun& run) {
    run.host_.pass_response_trailers(*run.response_trailers_);
  }
  static void pause(FilterRun& run) { run.host_.pause_response(); }
  static void unpause(FilterRun& run) { run.host_.resume_response(); }
};

// ---- beginning and end ----

FilterRun::FilterRun(FilterHost& host, const HttpFilterChain& chain,
                     const FilterWorkerStates& states)
    : host_(host), chain_(chain) {
  const auto& entries = chain.entries();
  DASSERT(states.size() == entries.size());
  Arena& arena = host.arena();
  slots_ = arena.allocate_array<FilterContext>(entries.size());
  find_levels();
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

void FilterRun::find_levels() {
  size_t count = 0;
  const auto add = [&](const std::unique_ptr<const route::FilterOverrides>& level) {
    if (level != nullptr) levels_[count++] = level.get();
  };
  if (const route::RouteMatch& match = host_.route()) {
    if (match.weighted != nullptr) add(match.weighted->filters);
    add(match.route->filters);
    add(match.host->filters);
    add(match.host->table->filters());
  }
  levels_[count] = nullptr;
}

// The most specific level that names a filter decides whether it is disabled, the most specific one
// that configures it, how it is configured.
bool FilterRun::find_overrides(FilterContext& slot) {
  const HttpFilterChain::Entry& entry = chain_.entries()[slot.index_];
  slot.route_config_ = nullptr;
  bool is_disabled = entry.disabled;
  bool is_decided = false;
  for (const route::FilterOverrides* const* level = levels_; *level != nullptr; ++level) {
    for (const route::FilterOverride& override : **level) {
      if (override.filter != entry.name) continue;
      if (!std::exchange(is_decided, true)) is_disabled = override.disabled;
      if (slot.route_config_ == nullptr && override.type == entry.type)
        slot.route_config_ = override.config.get();
    }
  }
  return is_disabled;
}

void FilterRun::choose_route() {
  host_.choose_route();
  find_levels();
  const size_t count = chain_.entries().size();
  for (size_t i = 0; i < count; ++i) (void)find_overrides(slots_[i]);
}

// ---- one part through the filters ----

// From position `from` in the hook's list on.  True: it has passed them all.
template <typename Direction>
bool FilterRun::run(Part part, size_t from, std::string_view data, bool end) {
  Lane& lane = Direction::lane(*this);
  const auto list = chain_.with(Direction::hook(part));
  for (size_t i = from; i < list.size(); ++i) {
    HttpFilter* filter = slots_[list[i]].filter_;
    if (filter == nullptr) continue;
    const FilterVerdict verdict = Direction::call(*this, *filter, part, data, end);
    if (lane.over) return false;
    if (verdict == FilterVerdict::kContinue) continue;
    lane.stopped = true;
    lane.part = part;
    lane.at = static_cast<uint32_t>(i);
    return false;
  }
  return true;
}

bool FilterRun::on_request_head(bool end) {
  request_head_ends_ = end;
  return run<Request>(Part::kHead, 0, {}, end);
}
bool FilterRun::on_request_body(std::string_view data, bool end) {
  return take_body<Request>(data, end);
}
bool FilterRun::on_request_trailers() { return take_trailers<Request>(); }

bool FilterRun::on_response_head(http::ResponseHead& head, bool end) {
  if (response_head_ != nullptr) {
    // It takes the place of one that has not gone out yet: as in Envoy, past the filters.
    bypass_ = true;
    response_.over = true;
    return true;
  }
  response_head_ = &head;
  response_head_ends_ = end;
  return run<Response>(Part::kHead, 0, {}, end);
}
bool FilterRun::on_response_body(std::string_view data, bool end) {
  return bypass_ || take_body<Response>(data, end);
}
bool FilterRun::on_response_trailers(http::Headers& trailers) {
  response_trailers_ = &trailers;
  return bypass_ || take_trailers<Response>();
}

// Pieces go through all filters one after the other, without a copy, until one is stopped.
template <typename Direction>
bool FilterRun::take_body(std::string_view data, bool end) {
  Lane& lane = Direction::lane(*this);
  if (lane.over) return false;
  if (!lane.stopped && lane.held.empty()) {
    if (chain_.with(Direction::hook(Part::kBody)).empty()) return true;
    const bool is_one_piece = data.size() <= Slab::kCapacity;
    for (bool is_last = false; !is_last;) {
      // What is stopped between two filters lies in one slab.
      const std::string_view piece = data.substr(0, Slab::kCapacity);
      is_last = piece.size() == data.size();
      const bool passes = run<Direction>(Part::kBody, 0, piece, end && is_last);
      if (passes && is_one_piece) return true;
      if (lane.over) return false;
      if (!passes) {
        lane.moving = piece.size();
        break;
      }
      Direction::pass_body(*this, piece, end && is_last);
      if (lane.over || is_last) return false;
      data.remove_prefix(piece.size());
    }
  }
  lane.held.append(data);
  lane.end = end;
  take_in<Direction>();
  return false;
}

template <typename Direction>
bool FilterRun::take_trailers() {
  Lane& lane = Direction::lane(*this);
  if (lane.over) return false;
  if (!lane.stopped && lane.held.empty()) return run<Direction>(Part::kTrailers, 0, {}, true);
  lane.trailers = true;
  take_in<Direction>();
  return false;
}

// Something more waits.
template <typename Direction>
void FilterRun::take_in() {
  Lane& lane = Direction::lane(*this);
  if (!lane.stopped) return;
  if constexpr (std::is_same_v<Direction, Request>) {
    if (buffering_) return check_buffered();
  }
  if (lane.held.size() < kHeldLimit || lane.end || lane.trailers || lane.paused) return;
  lane.paused = true;
  Direction::pause(*this);
}

// ---- going on ----

template <typename Direction>
bool FilterRun::is_stopped_by(uint8_t index) {
  const Lane& lane = Direction::lane(*this);
  if (lane.over || !lane.stopped) return false;
  return chain_.with(Direction::hook(lane.part))[lane.at] == index;
}

template <typename Direction>
void FilterRun::resume(uint8_t index) {
  if (is_stopped_by<Direction>(index)) go_on<Direction>();
}

template <typename Direction>
void FilterRun::go_on() {
  Lane& lane = Direction::lane(*this);
  lane.stopped = false;
  const size_t next = lane.at + 1;
  switch (lane.part) {
    case Part::kHead:
      if (!run<Direction>(Part::kHead, next, {}, Direction::head_ends(*this))) return;
      Direction::pass_head(*this);
      break;
    case Part::kBody: {
      const std::string_view data = lane.held.front().substr(0, lane.moving);
      const bool end = lane.end && lane.moving == lane.held.size();
      if (!run<Direction>(Part::kBody, next, data, end)) return;
      pass_body<Direction>(data, end);
      break;
    }
    case Part::kTrailers:
      if (!run<Direction>(Part::kTrailers, next, {}, true)) return;
      return Direction::pass_trailers(*this);
  }
  if (!lane.over) drain<Direction>();
}

// What waited goes through all filters, as far as they let it.
template <typename Direction>
void FilterRun::drain() {
  Lane& lane = Direction::lane(*this);
  while (!lane.held.empty() || lane.end) {
    const std::string_view data = lane.held.front();
    const bool end = lane.end && data.size() == lane.held.size();
    lane.moving = data.size();
    if (!run<Direction>(Part::kBody, 0, data, end)) return;
    pass_body<Direction>(data, end);
    if (lane.over) return;
  }
  if (lane.trailers) {
    if (!run<Direction>(Part::kTrailers, 0, {}, true)) return;
    return Direction::pass_trailers(*this);
  }
  if (std::exchange(lane.paused, false)) Direction::unpause(*this);
}

template <typename Direction>
void FilterRun::pass_body(std::string_view data, bool end) {
  Lane& lane = Direction::lane(*this);
  if (end) lane.end = false;
  Direction::pass_body(*this, data, end);
  if (lane.over) return;
  host_.worker().batch.flush();  // it points into what is freed now
  if (lane.over) return;
  lane.held.consume(lane.moving);
  lane.moving = 0;
}

// ---- buffering ----

FilterVerdict FilterRun::buffer_request(uint64_t limit) {
  if (request_head_ends_) return FilterVerdict::kContinue;
  http::RequestHead& head = host_.request();
  buffer_limit_ = limit;
  if (head.framing == http::Framing::kLength && head.content_length > limit) {
    host_.refuse_body();
    return FilterVerdict::kStop;
  }
  if (request_.held.size() > limit) {
    host_.refuse_body();
    return FilterVerdict::kStop;
  }
  if (request_.end || request_.trailers) {
    announce_length();
    return FilterVerdict::kContinue;
  }
  buffering_ = true;
  host_.invite_body();
  if (std::exchange(request_.paused, false)) host_.resume_request();
  return FilterVerdict::kStop;
}

void FilterRun::check_buffered() {
  if (request_.held.size() > buffer_limit_) return host_.refuse_body();
  if (!request_.end && !request_.trailers) return;
  buffering_ = false;
  announce_length();
  go_on<Request>();
}

// Trailers need a chunked body over HTTP/1.
void FilterRun::announce_length() {
  http::RequestHead& head = host_.request();
  if (request_.trailers || head.framing == http::Framing::kLength) return;
  head.framing = http::Framing::kLength;
  head.content_length = request_.held.size();
}

// ---- FilterContext ----

http::RequestHead& FilterContext::request() const { return run_.host_.request(); }
StreamInfo& FilterContext::info() const { return run_.host_.info(); }
const route::RouteMatch& FilterContext::route() const { return run_.host_.route(); }
Instant FilterContext::now() const { return run_.host_.worker().loop.now(); }
Rng& FilterContext::rng() const { return run_.host_.worker().rng; }
Arena& FilterContext::arena() const { return run_.host_.arena(); }
bool FilterContext::fails_health_checks() const { return run_.host_.worker().fails_health_checks; }
const route::FilterOverrides* const* FilterContext::override_levels() const { return run_.levels_; }
std::string_view FilterContext::name() const { return run_.chain_.entries()[index_].name; }

const void* FilterContext::type() const { return run_.chain_.entries()[index_].type; }

std::string_view FilterContext::cluster() const {
  const route::RouteMatch& match = route();
  if (!match || match.route->forward == nullptr) return {};
  return route::cluster_name(match, request());
}

void FilterContext::resume() {
  // The request that goes on may bring a response, which the filter stops anew.
  const bool holds_response = run_.is_stopped_by<FilterRun::Response>(index_);
  run_.resume<FilterRun::Request>(index_);
  if (holds_response) run_.resume<FilterRun::Response>(index_);
}

void FilterContext::local_reply(const FilterReply& reply) {
  if (!run_.ended_) run_.host_.reply(reply);
}

FilterVerdict FilterContext::buffer_request(uint64_t limit) { return run_.buffer_request(limit); }

void FilterContext::clear_route_cache() { run_.choose_route(); }

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
