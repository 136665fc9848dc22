#pragma once
// MemoryTrim: gives memory back to the system after a burst of streams.
//
// What a burst leaves is free but stays ours: malloc returns only what lies at the end of its heap,
// and the free lists keep their share.  Ten seconds after the streams of a burst began to end,
// once, both are trimmed.  That takes milliseconds where tens of MiB were used, so it is done after
// bursts only.
//
// HTTP/2 connections without a stream give back what their last streams took, some seconds later:
// see http/h2_memory.h.
//
// A member of WorkerContext.

#include <cstddef>

#include "proxy/http/h2_memory.h"
#include "proxy/io/loop.h"

namespace pillion::core {

class MemoryTrim {
 public:
  // So many streams fewer than at the peak make a burst that is over: 5 MiB at least.
  static constexpr size_t kBurst = 1000;
  // What is left of a burst when it is trimmed ends later; a quarter is worth another time.
  static constexpr size_t kRest = kBurst / 4;
  static constexpr Duration kDelay = std::chrono::seconds(10);

  static constexpr Duration kSweepDelay = std::chrono::seconds(2);

  explicit MemoryTrim(io::Loop& loop) noexcept : loop_(loop) {}

  void stream_began() noexcept {
    if (++live_ > peak_) peak_ = live_;
  }
  void stream_ended() noexcept {
    --live_;
    const bool is_over = peak_ - live_ >= kBurst || (live_ == 0 && peak_ >= kRest);
    if (is_over && !timer_.is_armed()) [[unlikely]]
      loop_.arm(timer_, kDelay);
    sweep_later();
  }
  // If there is anything to sweep.
  void sweep_later() noexcept {
    if (http::H2Memory::has_resting() && !sweep_timer_.is_armed())
      loop_.arm(sweep_timer_, kSweepDelay);
  }
  [[nodiscard]] size_t trims() const noexcept { return trims_; }

  // Gives back what the calling thread keeps for reuse, and what is free anywhere in malloc.  Any
  // thread; holds malloc's locks for milliseconds, so that a thread that does it must not be one
  // that stands back.
  static void give_back();

 private:
  void trim();
  void sweep();

  io::Loop& loop_;
  size_t live_ = 0;
  size_t peak_ = 0;  // since the last trim
  size_t trims_ = 0;
  io::Timer timer_ = io::Timer::of<&MemoryTrim::trim>(this);
  io::Timer sweep_timer_ = io::Timer::of<&MemoryTrim::sweep>(this);
};

}  // namespace pillion::core
