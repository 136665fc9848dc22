#include "proxy/base/str.h"
#include "proxy/cli/inject_parts.h"

namespace pillion::cli {
namespace {

using config::Node;

void check_uid(const Node& security, const InjectOptions& options) {
  const Node uid = security["runAsUser"];
  if (uid.raw() != str(options.uid)) return;
  uid.error(str("runs as ", options.uid,
                ", which is the sidecar's (--uid): what this user sends would pass it by"));
}

void check_port(const Node& port) {
  if (port.is_missing()) return;
  const uint32_t number = port.as_u32(1, 65535);
  if (number < kFirstPort || number > kLastPort) return;
  port.error(str("ports ", kFirstPort, " to ", kLastPort, " are the sidecar's, got ", number));
}

void check_container(const Node& container, const InjectOptions& options) {
  const Node name = container.required("name");
  if (name.raw() == kSidecarName || name.raw() == kCaptureName) {
    name.error(
        str("a container of this name is added by pillion inject; it is there, but not the "
            "label ",
            kLabel, ": ", kInjected));
  }
  check_uid(container["securityContext"], options);
  for (const Node port : container["ports"].items()) {
    check_port(port["containerPort"]);
    check_port(port["hostPort"]);
  }
}

}  // namespace

void check_pod(const Workload& workload, const InjectOptions& options) {
  const Node spec = workload.pod["spec"];
  if (spec["hostNetwork"].as_bool_or(false)) {
    spec["hostNetwork"].error(
        "a pod on the node's network cannot be captured: all of the node would be (annotation "
        "pillion.io/inject: \"false\" leaves it alone)");
  }
  if (const Node os = spec["os"]["name"]; os.is_present() && os.raw() != "linux") {
    os.error(str("Pillion runs on linux only, got ", os.raw()));
  }
  if (workload.runs_to_completion && !options.native_sidecar) {
    workload.object["kind"].error(
        "would never complete with --native-sidecar=false: the sidecar does not end with the app");
  }
  check_uid(spec["securityContext"], options);
  if (spec.required("containers").size() == 0) spec["containers"].error("there is no container");
  for (const char* list : {"initContainers", "containers"}) {
    for (const Node container : spec[list].items()) check_container(container, options);
  }
  for (const Node volume : spec["volumes"].items()) {
    const Node name = volume.required("name");
    if (name.raw() == kConfigVolume || name.raw() == kCertificatesVolume) {
      name.error("a volume of this name is added by pillion inject");
    }
  }
}

}  // namespace pillion::cli
