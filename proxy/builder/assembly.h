#pragma once
// Assembly: a snapshot of resources that another process has in force (`pillion explain --admin`).
//
// Each is compiled on its own, as the builder does with what a control plane says; one that this
// program cannot read is missing, and the others go on.  Files that they name need not be here.
//
//   for (route tables) add_routes(document);   // before what uses them
//   for (scopes of SRDS) add_scope(document);  // likewise
//   for (listeners) add_listener(document);
//   explain(*finish(), ...)                     // clusters are compiled when somebody asks

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/result.h"
#include "proxy/builder/resources.h"
#include "proxy/builder/snapshot.h"
#include "proxy/config/loader.h"

namespace pillion {

class Assembly {
 public:
  // Of the process.
  Assembly(std::string node_id, std::string node_cluster);

  // An error is what is wrong with it, one problem a line.
  Status<> add_routes(const config::DocumentPtr& document);
  Status<> add_scope(const config::DocumentPtr& document);
  Status<> add_listener(const config::DocumentPtr& document);
  [[nodiscard]] Result<std::shared_ptr<const upstream::ClusterConfig>> cluster(
      const config::DocumentPtr& document) const;
  // With what was good; once.
  std::shared_ptr<const Snapshot> finish();

 private:
  const std::string node_id_;
  const std::string node_cluster_;
  std::shared_ptr<Resources> resources_ = std::make_shared<Resources>();
};

}  // namespace pillion
