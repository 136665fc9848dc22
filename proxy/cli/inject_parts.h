#pragma once
// What the files of `pillion inject` share: inject.cc (which documents), inject_pod.cc (what is
// changed in a pod), inject_check.cc (what stands against it), inject_probes.cc and
// inject_containers.cc (what is added).

#include <string>
#include <string_view>
#include <vector>

#include "proxy/cli/inject.h"
#include "proxy/config/node.h"
#include "proxy/config/rewrite.h"

namespace pillion::cli {

inline constexpr std::string_view kLabel = "pillion.io/sidecar";
inline constexpr std::string_view kInjected = "injected";
inline constexpr std::string_view kSidecarName = "pillion";
inline constexpr std::string_view kCaptureName = "pillion-capture";
inline constexpr std::string_view kConfigVolume = "pillion-config";
inline constexpr std::string_view kCertificatesVolume = "pillion-certificates";
inline constexpr uint16_t kFirstPort = 15000, kLastPort = 15090;  // those of the sidecar
inline constexpr uint16_t kProbesPort = 15020, kMetricsPort = 15090;

// A workload, and the pod template in it; for a Pod they are the same.
struct Workload {
  config::Node object;
  config::Node pod;
  bool runs_to_completion = false;  // Job, CronJob
};

// A probe of the app that the sidecar passes on: GET /probe/PORT/PATH of kProbesPort.
struct Probe {
  uint16_t port = 0;
  std::string path;  // as it was, without the query

  [[nodiscard]] std::string new_path() const;
  auto operator<=>(const Probe&) const = default;
};

// What the added containers are made of.
struct SidecarParts {
  std::string config_map, certificates;
  std::vector<Probe> probes;  // each once
};

// Reports whatever forbids a sidecar, each thing at its place.
void check_pod(const Workload& workload, const InjectOptions& options);

// Sends the app's httpGet probes and hooks to the sidecar; the result is what it must pass on.
// Those that cannot be are errors, or warnings where they only lose their meaning.
std::vector<Probe> redirect_probes(const config::Node& spec, config::Rewrite& rewrite);

// The arguments for the sidecar that make it pass the probes on: Envoy v3 configuration, merged
// over the ConfigMap's.
std::string probes_overlay(const std::vector<Probe>& probes);

void write_capture_container(config::EnvoyWriter& out, const InjectOptions& options);
void write_sidecar_container(config::EnvoyWriter& out, const InjectOptions& options,
                             const SidecarParts& parts);
void write_volumes(config::EnvoyWriter& out, const SidecarParts& parts);

// All of it.
void inject_pod(const Workload& workload, const InjectOptions& options, config::Rewrite& rewrite);

}  // namespace pillion::cli
