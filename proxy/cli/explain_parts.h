#pragma once
// The parts of an explanation; see explain.h.

#include <string>
#include <string_view>
#include <vector>

#include "proxy/core/listener_config.h"
#include "proxy/core/stream_info.h"
#include "proxy/http/message.h"
#include "proxy/snapshot.h"

namespace pillion::cli {

using Lines = std::vector<std::string>;

// Stands for the address of a server that the question did not tell (RFC 5737: it is nobody's).
constexpr const char* kSomeServer = "192.0.2.1";

// From the connection manager on: path, virtual host, route, cluster.  Changes `head` as it would.
void explain_http(const Snapshot& snapshot, const core::HcmConfig& config,
                  const core::ConnectionInfo& connection, http::RequestHead& head, Lines& lines);
// What is sent to a cluster: what a client says, or its own TLS, which nobody opened on the way.
enum class Content : uint8_t { kPlain, kClientsTls };
// A chain of bytes.
void explain_tcp(const Snapshot& snapshot, const core::TcpProxyConfig& config,
                 const core::ConnectionInfo& connection, Content content, Lines& lines);
// The cluster and where it would send to.
void explain_cluster(const Snapshot& snapshot, std::string_view name,
                     const core::ConnectionInfo& connection, Content content, Lines& lines);

}  // namespace pillion::cli
