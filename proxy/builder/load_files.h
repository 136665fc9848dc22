#pragma once
// The file of a configuration -> its pieces.  Internal to the builder.

#include <stop_token>

#include "proxy/builder/builder.h"
#include "proxy/builder/options.h"
#include "proxy/builder/resources.h"
#include "proxy/builder/snapshot.h"
#include "proxy/config/errors.h"

namespace pillion {

// Loads and compiles the file into `out` and `resources` (its part of them).  False if there is no
// text at all; else what is wrong is in `errors`.  Once it is asked to stop it ends after the piece
// that it is at.
bool load_files(Snapshot& out, Resources& resources, const Options& options, Sinks sinks,
                config::Errors& errors, const std::stop_token& cancelled = {});

}  // namespace pillion
