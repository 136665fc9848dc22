#pragma once
// What connections to the hosts of a cluster are like, as configured.

#include <chrono>
#include <cstdint>
#include <memory>

#include "proxy/base/clock.h"
#include "proxy/http/limits.h"
#include "proxy/io/address.h"
#include "proxy/io/socket.h"
#include "proxy/tls/context.h"
#include "proxy/upstream/limits.h"

namespace pillion::upstream {

struct PoolOptions {
  http::H1Limits head_limits;
  io::SocketOptions socket;
  io::Address source;                                  // kNone: chosen by the kernel
  io::Address extra_source;                            // of the other IP family than `source`
  std::shared_ptr<const tls::Context> tls;             // null: plain text
  Duration connect_timeout = std::chrono::seconds(5);  // of TLS too
  Duration idle_timeout = std::chrono::seconds(60);    // 0: never
  Duration max_connection_duration{};                  // 0: none
  uint32_t max_requests_per_connection = 0;            // 0: no limit
  LimitValues limits;

  [[nodiscard]] const io::Address& source_for(const io::Address& host) const noexcept {
    return extra_source.kind() == host.kind() ? extra_source : source;
  }
};

}  // namespace pillion::upstream
