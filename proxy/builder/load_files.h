#pragma once
// The file of a configuration -> its pieces.  Internal to the builder.

#include "proxy/builder/builder.h"
#include "proxy/builder/options.h"
#include "proxy/builder/resources.h"
#include "proxy/builder/snapshot.h"
#include "proxy/config/errors.h"

namespace pillion {

// Loads and compiles the file into `out` and `resources` (its part of them).  False if there is no
// text at all; else what is wrong is in `errors`.
bool load_files(Snapshot& out, Resources& resources, const Options& options, Sinks sinks,
                config::Errors& errors);

}  // namespace pillion
