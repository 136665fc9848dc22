#include "proxy/undertaker.h"

#include <iterator>

#include "proxy/base/background_thread.h"
#include "proxy/core/memory_trim.h"

namespace pillion {
Undertaker::~Undertaker() { stop(); }

void Undertaker::bury(Dead dead) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) {
      waiting_ = std::move(dead);
    } else {
      waiting_.insert(waiting_.end(), std::make_move_iterator(dead.begin()),
                      std::make_move_iterator(dead.end()));
    }
  }
  digging_.post([this](const std::stop_token& stop) { work(stop); });
}

std::shared_ptr<const void> Undertaker::next() {
  const std::lock_guard lock(mutex_);
  if (waiting_.empty()) return nullptr;
  std::shared_ptr<const void> piece = std::move(waiting_.back());
  waiting_.pop_back();
  return piece;
}

void Undertaker::work(const std::stop_token& stop) {
  stand_back();
  const Duration begin = thread_cpu_time();
  // A piece ends with each turn.
  while (!stop.stop_requested() && next() != nullptr) {
  }
  spent_ += thread_cpu_time() - begin;
  if (stop.stop_requested()) return;
  if (spent_ >= kWorthATrim) {
    spent_ = {};
    trimming_.post([this](const std::stop_token&) {
      core::MemoryTrim::give_back();
      trims_.fetch_add(1, std::memory_order_relaxed);
    });
  }
  on_buried_();
}

void Undertaker::stop() {
  digging_.stop();
  Dead rest;
  {
    const std::lock_guard lock(mutex_);
    rest.swap(waiting_);
  }
  rest.clear();
  digging_.wait();
  trimming_.stop();
  trimming_.wait();
}

}  // namespace pillion
