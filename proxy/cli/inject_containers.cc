#include "proxy/base/str.h"
#include "proxy/cli/inject_parts.h"

namespace pillion::cli {
namespace {

using config::EnvoyWriter;

constexpr std::string_view kConfigFolder = "/etc/pillion/config";
constexpr std::string_view kCertificatesFolder = "/etc/pillion/certs";
constexpr uint64_t kReadableByAll = 0444;  // the sidecar's user owns no file of a volume

void write_arguments(EnvoyWriter& out, std::initializer_list<std::string> arguments) {
  out.list("args", [&] {
    for (const std::string& argument : arguments) out.item_text(argument);
  });
}

// What both containers have; `rest` writes users and what capture needs beyond.
template <typename Rest>
void write_security(EnvoyWriter& out, std::string_view added_capability, Rest&& rest) {
  out.message("securityContext", [&] {
    out.flag("allowPrivilegeEscalation", false);
    out.message("capabilities", [&] {
      if (!added_capability.empty()) out.list("add", [&] { out.item_text(added_capability); });
      out.list("drop", [&] { out.item_text("ALL"); });
    });
    out.flag("readOnlyRootFilesystem", true);
    rest();
    out.message("seccompProfile", [&] { out.text("type", "RuntimeDefault"); });
  });
}

void write_resources(EnvoyWriter& out, const InjectOptions& options) {
  out.message("resources", [&] {
    out.message("limits", [&] {
      if (!options.cpu_limit.empty()) out.text("cpu", options.cpu_limit);
      out.text("memory", options.memory_limit);
    });
    out.message("requests", [&] {
      out.text("cpu", options.cpu_request);
      out.text("memory", options.memory_request);
    });
  });
}

void write_probe(EnvoyWriter& out, std::string_view key, uint64_t period, uint64_t failures) {
  out.message(key, [&] {
    out.message("httpGet", [&] {
      out.text("path", "/ready");
      out.number("port", kMetricsPort);
    });
    out.number("periodSeconds", period);
    out.number("failureThreshold", failures);
  });
}

void write_mount(EnvoyWriter& out, std::string_view name, std::string_view path) {
  out.item([&] {
    out.text("name", name);
    out.text("mountPath", path);
    out.flag("readOnly", true);
  });
}

}  // namespace

void write_capture_container(EnvoyWriter& out, const InjectOptions& options) {
  out.item([&] {
    out.text("name", kCaptureName);
    out.text("image", options.image);
    write_arguments(out, {"capture", "apply", "--uid", str(options.uid)});
    write_resources(out, options);
    // A capability reaches only a process of root, without file capabilities in the image.
    write_security(out, "NET_ADMIN", [&] {
      out.flag("runAsNonRoot", false);
      out.number("runAsUser", 0);
      out.number("runAsGroup", 0);
    });
  });
}

void write_sidecar_container(EnvoyWriter& out, const InjectOptions& options,
                             const SidecarParts& parts) {
  out.item([&] {
    out.text("name", kSidecarName);
    out.text("image", options.image);
    out.list("args", [&] {
      for (const char* word : {"run", "-c"}) out.item_text(word);
      out.item_text(str(kConfigFolder, "/mesh.yaml"));
      if (parts.probes.empty()) return;
      out.item_text("--config-yaml");
      out.item_text(probes_overlay(parts.probes));
    });
    if (options.native_sidecar) out.text("restartPolicy", "Always");
    out.list("ports", [&] {
      out.item([&] {
        out.text("name", "pillion-metrics");
        out.number("containerPort", kMetricsPort);
        out.text("protocol", "TCP");
      });
    });
    write_probe(out, "startupProbe", 1, 120);
    write_probe(out, "readinessProbe", 5, 3);
    write_resources(out, options);
    write_security(out, {}, [&] {
      out.flag("runAsNonRoot", true);
      out.number("runAsUser", options.uid);
      out.number("runAsGroup", options.uid);
    });
    out.list("volumeMounts", [&] {
      write_mount(out, kConfigVolume, kConfigFolder);
      write_mount(out, kCertificatesVolume, kCertificatesFolder);
    });
  });
}

void write_volumes(EnvoyWriter& out, const SidecarParts& parts) {
  out.item([&] {
    out.text("name", kConfigVolume);
    out.message("configMap", [&] { out.text("name", parts.config_map); });
  });
  out.item([&] {
    out.text("name", kCertificatesVolume);
    out.message("secret", [&] {
      out.text("secretName", parts.certificates);
      out.number("defaultMode", kReadableByAll);
    });
  });
}

}  // namespace pillion::cli
