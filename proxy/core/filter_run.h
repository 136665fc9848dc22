#pragma once
// FilterRun: the filters of one stream, and what waits at the one that stopped it.
//
// Made in the stream's arena when its connection manager has filters; the stream (FilterHost)
// outlives it.  The host calls on_*() as parts of the exchange arrive, each at most in the order of
// its direction, and end() once.  on_*() returns true if the part has passed all filters and the
// host goes on with it; else it waits here, or the stream has ended, and pass_*() of the host
// brings it when it goes on.
//
// Of each direction at most one filter is the one that stopped: in front of it lies the part that
// it stopped, and behind that what no filter has seen.
//
// A filter may replace the piece of a body that it is given.  What goes on then lies in the
// filter's memory (Lane::changed) and has left the piece that came; the filters before it never see
// it.

#include <algorithm>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/core/http_filter_chain.h"
#include "proxy/core/worker_context.h"

namespace pillion::core {

// The stream, as its filters' run sees it.
class FilterHost {
 public:
  virtual Arena& arena() = 0;
  virtual WorkerContext& worker() = 0;
  virtual StreamInfo& info() = 0;
  virtual http::RequestHead& request() = 0;
  virtual http::Headers& request_trailers() = 0;
  virtual const route::RouteMatch& route() = 0;
  virtual void choose_route() = 0;  // again
  // From now on by the configuration in force.
  virtual void use_newest_routes() {}
  // What could be asked for, as there is no route.
  virtual RouteWish missing_route() { return {}; }

  // A part that waited has passed all filters.
  virtual void pass_request_head() = 0;
  virtual void pass_request_body(std::string_view data, bool end) = 0;
  virtual void pass_request_trailers() = 0;
  virtual void pass_response_head(http::ResponseHead& head, bool end) = 0;
  virtual void pass_response_body(std::string_view data, bool end) = 0;
  virtual void pass_response_trailers(http::Headers& trailers) = 0;

  virtual void pause_request() = 0;
  virtual void resume_request() = 0;
  virtual void pause_response() = 0;
  virtual void resume_response() = 0;
  // The client waits for a 100 before it sends its body, which is wanted now.
  virtual void invite_body() = 0;
  // A request that ended with its head gets a body after all.
  virtual void extend_request() = 0;
  virtual void reply(const FilterReply& reply) = 0;
  virtual void refuse_body() = 0;      // 413
  virtual void refuse_response() = 0;  // 500
  // Nothing more of the upstream's response is wanted.
  virtual void give_up_response() = 0;

 protected:
  ~FilterHost() = default;
};

class FilterRun {
 public:
  // A stopped direction holds so much, or the listener's per_connection_buffer_limit_bytes if that
  // is less; then its peer is paused.
  static constexpr size_t kHeldLimit = 64 * 1024;

  // The filters that the route does not disable; `states` is of the same chain.
  FilterRun(FilterHost& host, const HttpFilterChain& chain, const FilterWorkerStates& states);

  bool on_request_head(bool end);
  bool on_request_body(std::string_view data, bool end);
  bool on_request_trailers();
  bool on_response_head(http::ResponseHead& head, bool end);
  bool on_response_body(std::string_view data, bool end);
  bool on_response_trailers(http::Headers& trailers);
  // A local reply is made: the rest of the request is not wanted.
  void drop_request();
  // The stream is over; idempotent.
  void end();

  // The peer must stay paused.
  [[nodiscard]] bool holds_request() const noexcept { return request_.paused; }
  [[nodiscard]] bool holds_response() const noexcept { return response_.paused; }
  // Of what buffer_request() holds together; 0 if no filter asked for it.
  [[nodiscard]] uint64_t buffer_limit() const noexcept { return buffer_limit_; }

 private:
  friend class FilterContext;
  enum class Part : uint8_t { kHead, kBody, kTrailers };
  // What became of a part: it passed all filters, waits (or nothing is wanted any more), or a
  // filter took all of it.
  enum class Flow : uint8_t { kPassed, kStopped, kTaken };
  // One direction.
  struct Lane {
    Buffer held;
    size_t moving = 0;         // bytes of `held` that the filter at `at` was given when it stopped
    std::string_view changed;  // or what another filter had made of them, if is_changed
    uint32_t at = 0;           // position, in the list of the hook that stopped
    Part part = Part::kHead;
    bool stopped = false;
    bool end = false;       // the last of what is held ends the message
    bool trailers = false;  // they wait behind what is held
    bool paused = false;
    bool over = false;         // nothing of it is wanted any more
    bool is_changed = false;   // the piece on its way is not what came
    bool is_replaced = false;  // the hook that runs has said so: `changed` is its
  };
  struct Request;
  struct Response;

  // The filters from position `from` of the part's list on; `data` becomes what they make of it.
  template <typename Direction>
  Flow run(Part part, size_t from, std::string_view& data, bool end);
  template <typename Direction>
  bool run_head(size_t from);
  // False: a filter has refused what the head has become.
  bool settle_request();
  Flow run_tail(uint8_t behind, std::string_view& tail);
  template <typename Direction>
  bool take_body(std::string_view data, bool end);
  template <typename Direction>
  bool take_trailers();
  template <typename Direction>
  bool run_trailers(size_t from);
  template <typename Direction>
  void take_in();
  template <typename Direction>
  [[nodiscard]] bool is_stopped_by(uint8_t index);
  template <typename Direction>
  void resume(uint8_t index);
  template <typename Direction>
  void go_on();
  template <typename Direction>
  void drain();
  template <typename Direction>
  void pass_piece(std::string_view data, bool end);
  template <typename Direction>
  bool move_piece(size_t from, std::string_view data, bool end);
  // True: the route disables the filter.
  bool find_overrides(FilterContext& slot);
  void choose_route();
  void refresh_routes(uint8_t index);
  FilterVerdict buffer_request(FilterContext& slot, uint64_t limit);
  void check_buffered();
  FilterVerdict collect_request(FilterContext& slot, uint64_t limit, bool partial);
  FilterVerdict show_collected(HttpFilter& filter);
  void check_collected();
  void announce_length(HttpFilter& filter);
  FilterVerdict buffer_response(FilterContext& slot, uint64_t limit);
  FilterVerdict show_buffered(HttpFilter& filter);
  void check_buffered_response();
  [[nodiscard]] size_t held_limit() const noexcept {
    return std::min<size_t>(kHeldLimit, chain_.buffer_limit());
  }
  [[nodiscard]] bool is_response_buffered() const noexcept {
    return response_.end || response_.trailers || response_.held.size() > response_limit_;
  }

  FilterHost& host_;
  const HttpFilterChain& chain_;
  FilterContext* slots_;  // one per filter of the chain
  // Of the route, the most specific first; the last one is null.
  FilterLevels levels_{};
  Lane request_;
  Lane response_;
  http::ResponseHead* response_head_ = nullptr;
  http::Headers* response_trailers_ = nullptr;
  uint64_t buffer_limit_ = 0;
  uint64_t collect_limit_ = 0;
  uint64_t response_limit_ = 0;
  bool request_head_ends_ = false;
  bool response_head_ends_ = false;
  bool buffering_ = false;         // the request goes on by itself when its body is complete
  bool collecting_ = false;        // its filter is asked again when enough of its body is here
  bool collects_part_ = false;     // of which buffer_limit_ bytes are enough
  bool buffers_response_ = false;  // and so does the response
  bool bypass_ = false;            // the response is one that took the place of another
  bool ended_ = false;
};

}  // namespace pillion::core
