#include "proxy/builder/assembly.h"

#include <utility>

#include "proxy/builder/compile.h"
#include "proxy/builder/index_resources.h"
#include "proxy/builder/scoped_routes.h"

namespace pillion {
namespace {

// What runs elsewhere was taken there: what is not known here is no error.
class LenientErrors : public config::Errors {
 public:
  LenientErrors() : Errors(config::UnknownFields::kWarn, config::UnreadableFiles::kWarn) {}
};

template <typename T>
void take(Pieces<T>& pieces, std::string name, std::shared_ptr<const T> made) {
  Piece<T>& piece = pieces[std::move(name)];
  piece.newest = std::move(made);
  piece.activate();
}

}  // namespace

Assembly::Assembly(std::string node_id, std::string node_cluster)
    : node_id_(std::move(node_id)), node_cluster_(std::move(node_cluster)) {}

Status<> Assembly::add_routes(const config::DocumentPtr& document) {
  LenientErrors errors;
  Compiler compiler({}, node_id_, node_cluster_, *resources_);
  auto made = std::make_shared<CompiledRoutes>(
      compiler.routes(document->root(errors), {document, &document->root_value()}));
  if (!errors.ok()) return Error{errors.to_string()};
  std::string name(made->table->name());
  take<CompiledRoutes>(resources_->routes, std::move(name), std::move(made));
  return Ok{};
}

Status<> Assembly::add_scope(const config::DocumentPtr& document) {
  LenientErrors errors;
  Compiler compiler({}, node_id_, node_cluster_, *resources_);
  auto made = std::make_shared<CompiledScope>(
      compiler.scope(document->root(errors), {document, &document->root_value()}));
  if (!errors.ok()) return Error{errors.to_string()};
  std::string name = made->config->name;
  take<CompiledScope>(resources_->scopes, std::move(name), std::move(made));
  resources_->has_scopes = true;
  return Ok{};
}

Status<> Assembly::add_listener(const config::DocumentPtr& document) {
  LenientErrors errors;
  Compiler compiler({}, node_id_, node_cluster_, *resources_);
  index_scopes(*resources_, [&compiler](const std::string& name) { return compiler.table(name); });
  auto made = std::make_shared<CompiledListener>(
      compiler.listener(document->root(errors), {document, &document->root_value()}));
  if (!errors.ok()) return Error{errors.to_string()};
  std::string name = made->config->name;
  take<CompiledListener>(resources_->listeners, std::move(name), std::move(made));
  return Ok{};
}

Result<std::shared_ptr<const upstream::ClusterConfig>> Assembly::cluster(
    const config::DocumentPtr& document) const {
  LenientErrors errors;
  Compiler compiler({}, node_id_, node_cluster_, *resources_);
  CompiledCluster made =
      compiler.cluster(document->root(errors), {document, &document->root_value()});
  if (!errors.ok()) return Error{errors.to_string()};
  return std::move(made.config);
}

std::shared_ptr<const Snapshot> Assembly::finish() {
  auto out = std::make_shared<Snapshot>();
  index_resources(*out, resources_, nullptr);  // clusters are still asked for
  return out;
}

}  // namespace pillion
