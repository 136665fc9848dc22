#include "proxy/io/poller.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "proxy/base/assert.h"
#include "proxy/base/log.h"

namespace pillion::io {
namespace {

std::atomic<uint64_t> refused{0};

}  // namespace

Poller::Poller() : fd_(::epoll_create1(EPOLL_CLOEXEC)) { ASSERT(fd_ >= 0); }

Poller::~Poller() {
  ASSERT(watched_ == 0);
  ::close(fd_);
}

int Poller::add(Pollable& pollable, int fd, uint32_t events) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &pollable;
  if (::epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) != 0) [[unlikely]]
    return note_refusal(errno);
  ++watched_;
  return 0;
}

int Poller::change(Pollable& pollable, int fd, uint32_t events) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &pollable;
  if (::epoll_ctl(fd_, EPOLL_CTL_MOD, fd, &event) != 0) [[unlikely]]
    return note_refusal(errno);
  return 0;
}

void Poller::remove(Pollable& pollable, int fd) noexcept {
  epoll_event ignored{};
  static_cast<void>(::epoll_ctl(fd_, EPOLL_CTL_DEL, fd, &ignored));
  --watched_;
  for (int i = next_; i < count_; ++i) {
    if (batch_[i].data.ptr == &pollable) batch_[i].data.ptr = nullptr;
  }
}

void Poller::add_foreign(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = this;
  ASSERT(::epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) == 0);
}

uint64_t Poller::refusals() noexcept { return refused.load(std::memory_order_relaxed); }

int Poller::note_refusal(int error) noexcept {
  refused.fetch_add(1, std::memory_order_relaxed);
  static log::Limit limit{std::chrono::seconds(10)};
  char text[64];
  log::warning(limit, log::kIo,
               error == ENOSPC
                   ? "epoll refuses a descriptor (is fs.epoll.max_user_watches reached?)"
                   : "epoll refuses a descriptor",
               {{"reason", ::strerror_r(error, text, sizeof text)}});
  return error;
}

// A signal ends the wait early: an empty turn.
void Poller::wait(int timeout_ms) { count_ = ::epoll_wait(fd_, batch_, kBatch, timeout_ms); }

bool Poller::deliver() {
  bool foreign = false;
  for (next_ = 0; next_ < count_;) {
    const epoll_event event = batch_[next_++];
    if (event.data.ptr == this) {
      foreign = true;
    } else if (event.data.ptr != nullptr) {
      static_cast<Pollable*>(event.data.ptr)->on_poll(event.events);
    }
  }
  next_ = count_ = 0;
  return foreign;
}

}  // namespace pillion::io
