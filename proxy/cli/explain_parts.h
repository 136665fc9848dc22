#pragma once
// The parts of an explanation; see explain.h.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/builder/snapshot.h"
#include "proxy/core/listener_config.h"
#include "proxy/core/stream_info.h"
#include "proxy/http/message.h"

namespace pillion::cli {

using Lines = std::vector<std::string>;

// Stands for the address of a server that the question did not tell (RFC 5737: it is nobody's).
constexpr const char* kSomeServer = "192.0.2.1";

// What a running proxy knows beside its configuration.
class Facts {
 public:
  virtual ~Facts() = default;
  // Lines of these pieces, behind the one that names them.
  virtual void listener(std::string_view name, Lines& lines) = 0;
  virtual void routes(std::string_view name, Lines& lines) = 0;
  virtual void scope(std::string_view name, Lines& lines) = 0;
  // In force, or about to be; null: there is none that can be read.
  virtual std::shared_ptr<const upstream::ClusterConfig> cluster(std::string_view name,
                                                                 Lines& lines) = 0;
  // The hosts as they are; false: that is not known.
  virtual bool hosts(std::string_view cluster, Lines& lines) = 0;
  virtual void breakers(std::string_view cluster, Lines& lines) = 0;
};

// What an explanation is made of; both outlive it.
struct Known {
  const Snapshot& snapshot;
  Facts* facts = nullptr;  // null: there is a configuration only
};

// From the connection manager on: path, virtual host, route, cluster.  Changes `head` as it would.
void explain_http(const Known& known, const core::HcmConfig& config,
                  const core::ConnectionInfo& connection, http::RequestHead& head, Lines& lines);
// What is sent to a cluster: what a client says, or its own TLS, which nobody opened on the way.
enum class Content : uint8_t { kPlain, kClientsTls };
// A chain of bytes.
void explain_tcp(const Known& known, const core::TcpProxyConfig& config,
                 const core::ConnectionInfo& connection, Content content, Lines& lines);
// The cluster and where it would send to.
void explain_cluster(const Known& known, std::string_view name,
                     const core::ConnectionInfo& connection, Content content, Lines& lines);

}  // namespace pillion::cli
