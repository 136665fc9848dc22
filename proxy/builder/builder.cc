#include "proxy/builder/builder.h"

#include <utility>

#include "proxy/builder/build.h"
#include "proxy/builder/compile.h"
#include "proxy/builder/extensions.h"
#include "proxy/builder/index_resources.h"
#include "proxy/builder/load_files.h"
#include "proxy/builder/settle.h"

namespace pillion {

using config::Errors;
using config::Severity;

BuildResult run_build(const Options& options, const Sinks& sinks, const BuildJob& job) {
  BuildResult result;
  result.read_files = job.reads_files || job.previous == nullptr;
  result.has_admin_values = job.admin_values != nullptr;
  Build build(options, sinks, job);
  const std::stop_token& cancelled = job.cancelled;
  if (result.read_files) {
    Errors errors(options.unknown_fields());
    const bool is_good = build.read_files(errors);
    if (cancelled.stop_requested()) return result;
    result.files = errors.files();
    result.messages = errors.to_string();
    result.warnings = errors.to_string(Severity::kWarning);
    if (!is_good) {
      return result;
    }
    for (const auto& [name, field] : errors.unknown_fields())
      result.static_unknown_fields += field.count;
    result.unusable_runtime_values = errors.unusable_runtime_values();
  } else {
    build.keep_files();
  }
  if (job.admin_values != nullptr) build.take_admin_values(job.admin_values);
  for (const xds::Response& response : job.responses)
    result.answers.push_back(build.take(response));
  if (cancelled.stop_requested()) return result;
  result.snapshot = build.finish();
  result.warnings += build.warnings;
  result.dynamic_unknown_fields = std::move(build.unknown_fields);
  result.unusable_runtime_values += build.unusable_runtime_values;
  return result;
}

std::shared_ptr<const Snapshot> build_snapshot(const Options& options, const Sinks& sinks,
                                               Errors& errors) {
  auto out = std::make_shared<Snapshot>();
  auto resources = std::make_shared<Resources>();
  if (!load_files(*out, *resources, options, sinks, errors)) return nullptr;
  if (errors.ok()) {
    Compiler compiler(sinks, out->bootstrap.node_id, out->bootstrap.node_cluster, *resources);
    // What a control plane would say is not waited for.
    SharedNames endpoints;
    std::set<std::string> routes, extensions;
    for (const auto& [name, wanted] : wanted_extensions(*resources)) extensions.insert(name.str());
    for (const auto& [name, wanted] : wanted_endpoints(*resources)) endpoints.insert(name);
    for (const auto& [name, wanted] : wanted_routes(*resources)) routes.insert(name.str());
    settle(*resources, compiler, {endpoints, routes, {}, extensions, true, true});
  }
  index_resources(*out, std::move(resources), nullptr);
  return errors.ok() ? out : nullptr;
}

}  // namespace pillion
