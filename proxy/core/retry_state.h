#pragma once
// RetryState: what a stream remembers for the retries and the limits of one attempt that its
// route's policy grants.
//
// In the stream's arena, made when it is first needed: most requests never have one.  The policy
// is the route table's, which the stream pins.

#include <algorithm>
#include <array>

#include "proxy/io/timer_wheel.h"
#include "proxy/route/retry_policy.h"
#include "proxy/upstream/host_set.h"

namespace pillion::core {

struct RetryState {
  struct Callbacks {
    io::Timer::Callback back_off, per_try, per_try_idle;
  };
  // `owner`: the stream, which the callbacks get.
  RetryState(const route::RetryPolicy& its_policy, const Callbacks& callbacks, void* owner)
      : policy(its_policy),
        back_off(callbacks.back_off, owner),
        per_try(callbacks.per_try, owner),
        per_try_idle(callbacks.per_try_idle, owner),
        span(its_policy.base_interval),
        left(its_policy.num_retries) {}

  // Was there a retry?
  [[nodiscard]] bool has_granted() const noexcept { return left != policy.num_retries; }
  // The attempt they are for is over.
  void end_try() noexcept {
    per_try.cancel();
    per_try_idle.cancel();
  }
  // The hosts of attempts that failed; of very many the last ones.
  void add_tried(upstream::HostId host) noexcept { tried[tried_count++ % tried.size()] = host; }
  [[nodiscard]] bool was_tried(upstream::HostId host) const noexcept {
    return std::find(tried.begin(), tried.end(), host) != tried.end();
  }

  const route::RetryPolicy& policy;
  io::Timer back_off;  // until the next attempt
  io::Timer per_try;   // of the current one
  io::Timer per_try_idle;
  Duration span;         // the next wait is below it
  uint32_t left;         // of num_retries
  size_t discarded = 0;  // bytes of a response that is not passed on
  std::array<upstream::HostId, 16> tried{};
  uint32_t tried_count = 0;
  bool holds_slot = false;     // of the cluster's retry breaker
  bool after_timeout = false;  // the attempt before was too slow
};

}  // namespace pillion::core
