#pragma once
// envoy.config.core.v3.GrpcService.GoogleGrpc: a server by its target, as the library of the gRPC
// project names it.
//
// It stands for a cluster that nobody wrote, which is added to the file's before they are read: so
// it has the one parser, the pools, and the pages that all clusters have.  It is called
// "google_grpc/TARGET_URI", with TLS also "#tls-" and a hash of ssl_credentials: services with
// other credentials have clusters, and connections, of their own.  It speaks HTTP/2 with
// keep-alive; TLS is what channel_credentials say.  What a server's certificate is for is checked,
// as the library does, against the host of the target.

#include <string>

#include "proxy/config/loader.h"
#include "proxy/config/node.h"

namespace pillion::config {

struct GoogleGrpc {
  std::string cluster;
  std::string authority;  // host and port of the target
};

// Targets: host:port, dns:///host:port, ipv4:ADDRESS:PORT, ipv6:[ADDRESS]:PORT, unix:PATH.  Without
// a port it is 443.  Only in files: a resource of a control plane could not add a cluster.
GoogleGrpc parse_google_grpc(const Node& node);

// `document` with the clusters of all grpc_services in it, if there are any; those that have been
// added already are left.
DocumentPtr add_google_grpc_clusters(const DocumentPtr& document);

}  // namespace pillion::config
