// Parts of an exchange on their way through its filters.  (Which filters there are, and what they
// may ask: filter_context.cc.)
#include "proxy/core/filter_run.h"

#include <algorithm>
#include <functional>
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

// ---- one part through the filters ----

template <typename Direction>
FilterRun::Flow FilterRun::run(Part part, size_t from, std::string_view& data, bool end) {
  Lane& lane = Direction::lane(*this);
  const auto list = chain_.with(Direction::hook(part));
  for (size_t i = from; i < list.size(); ++i) {
    HttpFilter* filter = slots_[list[i]].filter_;
    if (filter == nullptr) continue;
    // The filter before may have given a request a body.
    const bool ends = part == Part::kHead ? Direction::head_ends(*this) : end;
    const FilterVerdict verdict = Direction::call(*this, *filter, part, data, ends);
    if (lane.over) return Flow::kStopped;
    if (std::exchange(lane.is_replaced, false)) {
      data = lane.changed;
      lane.is_changed = true;
      if constexpr (std::is_same_v<Direction, Response>) {
        if (part == Part::kTrailers) return run_tail(list[i], data);
      }
    }
    if (verdict == FilterVerdict::kStop) {
      lane.stopped = true;
      lane.part = part;
      lane.at = static_cast<uint32_t>(i);
      return Flow::kStopped;
    }
    if (lane.is_changed && data.empty() && !end) return Flow::kTaken;
  }
  return Flow::kPassed;
}

template <typename Direction>
bool FilterRun::run_head(size_t from) {
  std::string_view none;
  if (run<Direction>(Part::kHead, from, none, false) != Flow::kPassed) return false;
  return std::is_same_v<Direction, Response> || settle_request();
}

bool FilterRun::settle_request() {
  for (const uint8_t i : chain_.with(FilterHook::kRequestSettled)) {
    HttpFilter* filter = slots_[i].filter_;
    if (filter == nullptr) continue;
    const FilterVerdict verdict = filter->on_request_settled(host_.request());
    DASSERT(request_.over || verdict == FilterVerdict::kContinue);
    if (request_.over || verdict == FilterVerdict::kStop) return false;
  }
  return true;
}

// A filter made a last piece of the response of its trailers: the filters behind it see that.
FilterRun::Flow FilterRun::run_tail(uint8_t behind, std::string_view& tail) {
  response_.end = true;
  response_.moving = 0;
  const auto list = chain_.with(FilterHook::kResponseBody);
  size_t from = 0;
  while (from < list.size() && list[from] >= behind) ++from;  // responses go backwards
  return run<Response>(Part::kBody, from, tail, true);
}

bool FilterRun::on_request_head(bool end) {
  request_head_ends_ = end;
  if (!run_head<Request>(0)) return false;
  if (!request_.end) return true;
  host_.pass_request_head();  // a filter has given it a body
  if (!request_.over) drain<Request>();
  return false;
}
bool FilterRun::on_request_body(std::string_view data, bool end) {
  return take_body<Request>(data, end);
}
bool FilterRun::on_request_trailers() { return take_trailers<Request>(); }

bool FilterRun::on_response_head(http::ResponseHead& head, bool end) {
  if (response_head_ != nullptr) {
    // It takes the place of one that has not gone out yet: as in Envoy, past the filters, which
    // may tell their clients in their own way.
    bypass_ = true;
    response_.over = true;
    for (size_t i = chain_.entries().size(); i-- > 0;) {
      if (slots_[i].filter_ != nullptr) slots_[i].filter_->on_response_replaced(head);
    }
    return true;
  }
  response_head_ = &head;
  response_head_ends_ = end;
  return run_head<Response>(0);
}
bool FilterRun::on_response_body(std::string_view data, bool end) {
  return bypass_ || take_body<Response>(data, end);
}
bool FilterRun::on_response_trailers(http::Headers& trailers) {
  response_trailers_ = &trailers;
  return bypass_ || take_trailers<Response>();
}

namespace {

bool is_part_of(std::string_view part, std::string_view whole) {
  const std::less_equal<> not_after;
  return not_after(whole.data(), part.data()) &&
         not_after(part.data() + part.size(), whole.data() + whole.size());
}

}  // namespace

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
      std::string_view out = piece;
      lane.is_changed = false;
      const Flow flow = run<Direction>(Part::kBody, 0, out, end && is_last);
      if (flow == Flow::kPassed && is_one_piece && !lane.is_changed) return true;
      if (lane.over) return false;
      data.remove_prefix(piece.size());
      if (flow == Flow::kStopped) {
        // A filter's own bytes stay where they are; those of the peer will be gone.
        if (is_part_of(out, piece)) lane.is_changed = false;
        if (!lane.is_changed) lane.held.append(out);
        lane.moving = lane.held.size();
        break;
      }
      if (flow == Flow::kPassed) pass_piece<Direction>(out, end && is_last);
      if (lane.over || is_last) return false;
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
  if (!lane.stopped && lane.held.empty()) return run_trailers<Direction>(0);
  lane.trailers = true;
  take_in<Direction>();
  return false;
}

// True: they have passed, as what they are.
template <typename Direction>
bool FilterRun::run_trailers(size_t from) {
  Lane& lane = Direction::lane(*this);
  lane.trailers = lane.is_changed = false;
  std::string_view tail;
  if (run<Direction>(Part::kTrailers, from, tail, true) != Flow::kPassed) return false;
  if (!lane.is_changed) return true;
  pass_piece<Direction>(tail, true);
  return false;
}

// Something more waits.
template <typename Direction>
void FilterRun::take_in() {
  Lane& lane = Direction::lane(*this);
  if (!lane.stopped) return;
  if constexpr (std::is_same_v<Direction, Request>) {
    if (buffering_) return check_buffered();
    if (collecting_) return check_collected();
  } else {
    if (buffers_response_) return check_buffered_response();
  }
  if (lane.held.size() < held_limit() || lane.end || lane.trailers || lane.paused) return;
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
      if (!run_head<Direction>(next)) return;
      Direction::pass_head(*this);
      break;
    case Part::kBody: {
      std::string_view data =
          lane.is_changed ? lane.changed : lane.held.front().substr(0, lane.moving);
      const bool end = lane.end && lane.moving == lane.held.size();
      if (!move_piece<Direction>(next, data, end)) return;
      break;
    }
    case Part::kTrailers:
      if (run_trailers<Direction>(next)) Direction::pass_trailers(*this);
      return;
  }
  if (!lane.over) drain<Direction>();
}

// The first piece of what waited.  False: a filter has stopped it, or nothing is wanted any more.
template <typename Direction>
bool FilterRun::move_piece(size_t from, std::string_view data, bool end) {
  Lane& lane = Direction::lane(*this);
  const Flow flow = run<Direction>(Part::kBody, from, data, end);
  if (flow == Flow::kStopped) return false;
  if (flow == Flow::kPassed) pass_piece<Direction>(data, end);
  if (lane.over) return false;
  lane.held.consume(std::exchange(lane.moving, 0));
  return true;
}

// What waited goes through all filters, as far as they let it.
template <typename Direction>
void FilterRun::drain() {
  Lane& lane = Direction::lane(*this);
  while (!lane.held.empty() || lane.end) {
    std::string_view data = lane.held.front();
    const bool end = lane.end && data.size() == lane.held.size();
    lane.moving = data.size();
    lane.is_changed = false;
    if (!move_piece<Direction>(0, data, end)) return;
  }
  if (lane.trailers) {
    if (run_trailers<Direction>(0)) Direction::pass_trailers(*this);
    return;
  }
  if (std::exchange(lane.paused, false)) Direction::unpause(*this);
}

// To the host.  The bytes may belong to a filter, or to what is held: they must be out before
// either changes.
template <typename Direction>
void FilterRun::pass_piece(std::string_view data, bool end) {
  Lane& lane = Direction::lane(*this);
  if (end) lane.end = false;
  Direction::pass_body(*this, data, end);
  if (!lane.over && (lane.is_changed || lane.moving != 0)) host_.worker().batch.flush();
}

// ---- buffering ----

FilterVerdict FilterRun::buffer_request(FilterContext& slot, uint64_t limit) {
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
    announce_length(*slot.filter_);
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
  announce_length(*slots_[chain_.with(FilterHook::kRequestHead)[request_.at]].filter_);
  go_on<Request>();
}

// Trailers need a chunked body over HTTP/1.
void FilterRun::announce_length(HttpFilter& filter) {
  http::RequestHead& head = host_.request();
  const uint64_t size = request_.held.size();
  if (!request_.trailers && head.framing != http::Framing::kLength) {
    head.framing = http::Framing::kLength;
    head.content_length = size;
  }
  filter.on_request_buffered(head, size);
}

FilterVerdict FilterRun::collect_request(FilterContext& slot, uint64_t limit, bool partial) {
  if (request_head_ends_) return slot.filter_->on_request_collected(request_.held, true);
  const http::RequestHead& head = host_.request();
  buffer_limit_ = std::max(buffer_limit_, limit);
  const bool is_too_long = request_.held.size() > limit ||
                           (head.framing == http::Framing::kLength && head.content_length > limit);
  if (!partial && is_too_long) {
    host_.refuse_body();
    return FilterVerdict::kStop;
  }
  collect_limit_ = limit;
  collects_part_ = partial;
  if (request_.end || request_.trailers || (partial && request_.held.size() >= limit))
    return show_collected(*slot.filter_);
  collecting_ = true;
  host_.invite_body();
  if (std::exchange(request_.paused, false)) host_.resume_request();
  return FilterVerdict::kStop;
}

FilterVerdict FilterRun::show_collected(HttpFilter& filter) {
  return filter.on_request_collected(request_.held, request_.end || request_.trailers);
}

void FilterRun::check_collected() {
  const bool is_complete = request_.end || request_.trailers;
  if (!collects_part_ && request_.held.size() > collect_limit_) return host_.refuse_body();
  if (!is_complete && !(collects_part_ && request_.held.size() >= collect_limit_)) return;
  collecting_ = false;
  HttpFilter& filter = *slots_[chain_.with(FilterHook::kRequestHead)[request_.at]].filter_;
  const FilterVerdict verdict = show_collected(filter);
  if (request_.over) return;
  if (verdict == FilterVerdict::kContinue) return go_on<Request>();
  take_in<Request>();  // while the filter thinks, no more than usual is held
}

FilterVerdict FilterRun::buffer_response(FilterContext& slot, uint64_t limit) {
  if (response_head_ends_) return FilterVerdict::kContinue;
  response_limit_ = limit;
  if (is_response_buffered()) return show_buffered(*slot.filter_);
  buffers_response_ = true;
  if (std::exchange(response_.paused, false)) host_.resume_response();
  return FilterVerdict::kStop;
}

FilterVerdict FilterRun::show_buffered(HttpFilter& filter) {
  const bool is_complete = response_.end || response_.trailers;
  return filter.on_response_buffered({*response_head_, response_.held,
                                      response_.trailers ? response_trailers_ : nullptr,
                                      is_complete && response_.held.size() <= response_limit_});
}

void FilterRun::check_buffered_response() {
  if (!is_response_buffered()) return;
  buffers_response_ = false;
  HttpFilter& filter = *slots_[chain_.with(FilterHook::kResponseHead)[response_.at]].filter_;
  if (show_buffered(filter) == FilterVerdict::kContinue && !response_.over) go_on<Response>();
}

void FilterContext::resume() {
  // The request that goes on may bring a response, which the filter stops anew.
  const bool holds_response = run_.is_stopped_by<FilterRun::Response>(index_);
  run_.resume<FilterRun::Request>(index_);
  if (holds_response) run_.resume<FilterRun::Response>(index_);
}

}  // namespace pillion::core
