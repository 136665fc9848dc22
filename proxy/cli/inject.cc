#include "proxy/cli/inject.h"

#include <array>
#include <span>

#include "proxy/base/str.h"
#include "proxy/cli/inject_parts.h"
#include "proxy/config/yaml_print.h"
#include "proxy/config/yaml_stream.h"

namespace pillion::cli {
namespace {

using config::Node;
using Path = std::span<const std::string_view>;

constexpr std::array<std::string_view, 2> kTemplate = {"spec", "template"};
constexpr std::array<std::string_view, 4> kJobTemplate = {"spec", "jobTemplate", "spec",
                                                          "template"};

// A kind of another group has its own ideas of a Job.
struct KindRow {
  std::string_view api_version, kind;
  Path path;
  bool runs_to_completion;
};
constexpr KindRow kKinds[] = {
    {"v1", "Pod", {}, false},
    {"v1", "ReplicationController", kTemplate, false},
    {"apps/v1", "Deployment", kTemplate, false},
    {"apps/v1", "ReplicaSet", kTemplate, false},
    {"apps/v1", "StatefulSet", kTemplate, false},
    {"apps/v1", "DaemonSet", kTemplate, false},
    {"batch/v1", "Job", kTemplate, true},
    {"batch/v1", "CronJob", kJobTemplate, true},
};

const KindRow* find_kind(const Node& object) {
  for (const KindRow& row : kKinds) {
    const bool is_it =
        object["apiVersion"].raw() == row.api_version && object["kind"].raw() == row.kind;
    if (is_it) return &row;
  }
  return nullptr;
}

bool is_list(const Node& object) {
  return object["apiVersion"].raw() == "v1" && object["kind"].raw() == "List";
}

// Does the annotation leave this one alone?
bool is_refused(const Node& metadata) {
  const Node wish = metadata["annotations"]["pillion.io/inject"];
  if (wish.is_present() && wish.raw() != "false" && wish.raw() != "true") {
    wish.expected("\"true\" or \"false\"");
  }
  return wish.raw() == "false";
}

// The workloads of an object that want a sidecar and have none.
void find_workloads(const Node& object, std::vector<Workload>& found) {
  if (!object.is_mapping()) return object.expected("a Kubernetes object");
  if (is_list(object)) {
    for (const Node item : object["items"].items()) find_workloads(item, found);
    return;
  }
  const KindRow* row = find_kind(object);
  if (row == nullptr) return;
  Node pod = object;
  for (const std::string_view key : row->path) pod = pod.required(key);
  if (!pod.is_mapping() || !pod.required("spec").is_mapping()) return;
  if (is_refused(object["metadata"]) || is_refused(pod["metadata"])) return;
  if (pod["metadata"]["labels"][kLabel].raw() == kInjected) return;
  found.push_back({object, pod, row->runs_to_completion});
}

void inject_document(const config::StreamDocument& part, const InjectOptions& options,
                     config::Errors& errors, std::string& out) {
  std::vector<Workload> workloads;
  if (part.document != nullptr && part.document->root_value().kind == config::Kind::kMapping) {
    find_workloads(part.document->root(errors), workloads);
  }
  if (workloads.empty()) {
    out += part.text;
    return;
  }
  config::Rewrite rewrite(part.document);
  for (const Workload& workload : workloads) inject_pod(workload, options, rewrite);
  if (!errors.ok()) return;
  out += part.head;
  // The document began on the line of its "---".
  if (part.head.empty() && part.text.starts_with("---")) out += "---\n";
  out += config::print_yaml(*rewrite.apply(), config::ScalarStyle::kAsWritten);
}

}  // namespace

std::string inject(std::string_view text, const std::string& source, const InjectOptions& options,
                   config::Errors& errors) {
  std::string out;
  for (const auto& part : config::load_stream(text, source, errors)) {
    inject_document(part, options, errors, out);
  }
  return out;
}

}  // namespace pillion::cli
