#pragma once
// ::6, the source address by which the rules know the sidecar's last hop to its app over IPv6.
// 127.0.0.6 is there on every machine; this one has to be put on the loopback interface.

#include "proxy/base/result.h"

namespace pillion::cli {

// In the network namespace of the caller; once there, or gone, doing it again is no error.  Without
// IPv6 on the loopback interface both do nothing.
Status<> add_last_hop_address();
Status<> remove_last_hop_address();

}  // namespace pillion::cli
