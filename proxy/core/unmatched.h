#pragma once
// What the log tells of a connection that no filter chain took.

#include <string>
#include <string_view>

#include "proxy/core/chain_matcher.h"

namespace pillion::core {

struct Unmatched {
  std::string seen;
  std::string_view likely_cause;
};
// `port`: the destination's.
Unmatched describe_unmatched(const ListenerConfig& listener, uint16_t port, const Sniffed& sniffed);

// Rate-limited.
void log_unmatched(const ListenerConfig& listener, const ConnectionInfo& connection,
                   const Sniffed& sniffed);

}  // namespace pillion::core
