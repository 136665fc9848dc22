#pragma once
// Pieces -> what a Snapshot knows beside them.  Internal to the builder.

#include <memory>

#include "proxy/builder/resources.h"
#include "proxy/builder/snapshot.h"

namespace pillion {

// Makes `resources` those of `out`, and collects what its pieces name beside themselves.
// `previous`: the snapshot that they were changed from, so that only what differs is looked at;
// null: all is.
void index_resources(Snapshot& out, std::shared_ptr<const Resources> resources,
                     const Snapshot* previous);

}  // namespace pillion
