#pragma once
// `pillion inject`: puts a sidecar into the pods of Kubernetes manifests.
//
//   initContainers  pillion-capture   capture apply; root with NET_ADMIN alone, then gone
//                   pillion           the sidecar, restartPolicy: Always: starts before and ends
//                                     after the app's containers, init containers of its included
//   volumes         pillion-config        the ConfigMap with the short YAML, key mesh.yaml; a
//   folder
//                                         and no subPath, so that changes of it arrive
//                   pillion-certificates  the Secret with tls.crt, tls.key and ca.crt
//   labels          pillion.io/sidecar: injected, which a PodMonitor selects, and which makes a
//                                         second injection change nothing
//   probes          the app's httpGet ones go through the sidecar, on port 15020: the kubelet has
//                   no certificate of the mesh, so that mtls: strict would turn it away
//
// What is no workload is passed on byte for byte.  A document that gets a sidecar is printed anew:
// its values are as they were (config::ScalarStyle::kAsWritten), comments within it are gone,
// aliases are written out.  Keys are text whatever they look like, as they are to the API.

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/config/errors.h"

namespace pillion::cli {

struct InjectOptions {
  std::string image = "pillion:dev";
  // Empty: "pillion-" and the name of the workload.  Annotation pillion.io/config-map goes first.
  std::string config_map;
  // Empty: "pillion-" and the name of the service account, for it is the account that a
  // certificate names.  Annotation pillion.io/certificates goes first.
  std::string certificates;
  uint32_t uid = 1337;  // whom the sidecar runs as, and whom capture leaves alone
  // false: for Kubernetes before 1.29, a container beside the app's.
  bool native_sidecar = true;
  std::string cpu_request = "10m", memory_request = "32Mi", memory_limit = "128Mi";
  std::string cpu_limit;  // empty: none; with one, it says how many workers there are
};

// The manifests with sidecars; `source` is the text's name in messages.  Worth nothing if there
// are errors.
std::string inject(std::string_view text, const std::string& source, const InjectOptions& options,
                   config::Errors& errors);

}  // namespace pillion::cli
