#pragma once
// RefusedTransport: the connection that is not made, because what TLS needs has not arrived.  To
// its owner it is a transport that breaks soon after start(), as one whose peer is not there does.

#include <string_view>

#include "proxy/io/loop.h"
#include "proxy/io/transport.h"

namespace pillion::tls {

class RefusedTransport final : public io::Transport, private io::ReadyTask {
 public:
  // `loop` outlives it; `reason` lives for ever.
  RefusedTransport(io::Loop& loop, Failure failure, std::string_view reason) noexcept
      : loop_(loop), failure_(failure), reason_(reason) {}

  void start(io::TransportObserver& observer) override {
    observer_ = &observer;
    loop_.post(*this);
  }
  io::IoResult read(char*, size_t) override { return {0, io::IoStatus::kError}; }
  io::IoResult write(const iovec*, int) override { return {0, io::IoStatus::kError}; }
  void shutdown_write() override {}
  void close(CloseMode) override { observer_ = nullptr; }
  void pause(io::PauseReason) override {}
  void resume(io::PauseReason) override {}
  void read_again() override {}
  [[nodiscard]] std::string_view failure_reason() const noexcept override { return reason_; }
  [[nodiscard]] Failure failure() const noexcept override { return failure_; }

 private:
  void run_ready() override {
    if (observer_ != nullptr) observer_->on_closed(failure_);
  }

  io::Loop& loop_;
  io::TransportObserver* observer_ = nullptr;
  const Failure failure_;
  const std::string_view reason_;
};

// %..._TRANSPORT_FAILURE_REASON% of such a connection.
inline constexpr std::string_view kSecretsNotReady =
    "the certificate or the trusted CAs have not arrived yet";

}  // namespace pillion::tls
