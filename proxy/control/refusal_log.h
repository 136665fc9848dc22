#pragma once
// RefusalLog: what the log says of resources that are refused.
//
// A member of ControlPlane.  A server that is told of a refusal may say the same again, and again:
// that is told once a minute.  A file is another one each time that somebody writes it, and who
// does that waits for the word.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/base/clock.h"
#include "proxy/control/subscriptions.h"
#include "xds/discovery_message.h"

namespace pillion {

class RefusalLog {
 public:
  // `reason`: a line for each problem; /config_dump tells all (error_state), a line of the log has
  // an end.
  void refused(xds::ResourceType type, Subscriptions::Origin origin, std::string_view reason,
               Instant now);
  void accepted(xds::ResourceType type) { told_[static_cast<size_t>(type)] = {}; }

 private:
  struct Told {
    uint64_t hash = 0;  // of the reason
    Instant until{};
  };
  std::array<Told, xds::kResourceTypes> told_;
};

}  // namespace pillion
