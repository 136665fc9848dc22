#include <algorithm>

#include "proxy/base/str.h"
#include "proxy/cli/inject_parts.h"

namespace pillion::cli {
namespace {

using config::EnvoyWriter;
using config::Node;

// An annotation of the pod, an option, or a name made from `name`.
std::string choose_name(const Workload& workload, std::string_view annotation,
                        const std::string& option, const Node& name, std::string_view fallback) {
  const Node wish = workload.pod["metadata"]["annotations"][annotation];
  if (wish.is_present()) return wish.as_string();
  if (!option.empty()) return option;
  return str("pillion-", name.is_missing() ? fallback : name.raw());
}

SidecarParts choose_parts(const Workload& workload, const InjectOptions& options) {
  const Node metadata = workload.object["metadata"];
  SidecarParts parts;
  const Node name = metadata.has("generateName") ? metadata["name"] : metadata.required("name");
  parts.config_map =
      choose_name(workload, "pillion.io/config-map", options.config_map, name, "sidecar");
  parts.certificates = choose_name(workload, "pillion.io/certificates", options.certificates,
                                   workload.pod["spec"]["serviceAccountName"], "default");
  return parts;
}

void add_label(const Workload& workload, config::Rewrite& rewrite) {
  const Node metadata = workload.pod["metadata"];
  const auto label = [](EnvoyWriter& out) { out.text(kLabel, kInjected); };
  if (metadata.is_mapping()) {
    rewrite.last_of_mapping(*metadata.value(), "labels", label);
  } else {
    rewrite.last_of_mapping(*workload.pod.value(), "metadata", [label](EnvoyWriter& out) {
      out.message("labels", [&] { label(out); });
    });
  }
}

}  // namespace

void inject_pod(const Workload& workload, const InjectOptions& options, config::Rewrite& rewrite) {
  const config::Errors& errors = *workload.pod.errors();
  const size_t before = errors.error_count();
  const Node spec = workload.pod["spec"];
  check_pod(workload, options);
  SidecarParts parts = choose_parts(workload, options);
  parts.probes = redirect_probes(spec, rewrite);
  if (errors.error_count() != before) return;

  add_label(workload, rewrite);
  const auto capture = [options](EnvoyWriter& out) { write_capture_container(out, options); };
  const auto sidecar = [options, parts](EnvoyWriter& out) {
    write_sidecar_container(out, options, parts);
  };
  if (options.native_sidecar) {
    // First of all, so that the app's init containers can call out as well.
    rewrite.first_of_list(*spec.value(), "initContainers", [capture, sidecar](EnvoyWriter& out) {
      capture(out);
      sidecar(out);
    });
  } else {
    // Last: what comes behind capture has no network before there is a sidecar.
    rewrite.last_of_list(*spec.value(), "initContainers", capture);
    rewrite.last_of_list(*spec.value(), "containers", sidecar);
  }
  rewrite.last_of_list(*spec.value(), "volumes",
                       [parts](EnvoyWriter& out) { write_volumes(out, parts); });
}

}  // namespace pillion::cli
