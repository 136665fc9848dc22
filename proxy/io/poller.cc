#include "proxy/io/poller.h"

#include <unistd.h>

#include "proxy/base/assert.h"

namespace pillion::io {

Poller::Poller() : fd_(::epoll_create1(EPOLL_CLOEXEC)) { ASSERT(fd_ >= 0); }

Poller::~Poller() {
  ASSERT(watched_ == 0);
  ::close(fd_);
}

void Poller::add(Pollable& pollable, int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &pollable;
  // Fails only when the kernel has no memory, or the user no watches, left.
  ASSERT(::epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) == 0);
  ++watched_;
}

void Poller::change(Pollable& pollable, int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &pollable;
  ASSERT(::epoll_ctl(fd_, EPOLL_CTL_MOD, fd, &event) == 0);
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

bool Poller::poll(int timeout_ms) {
  // A signal ends the wait early: an empty turn.
  count_ = ::epoll_wait(fd_, batch_, kBatch, timeout_ms);
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
