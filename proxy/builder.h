#pragma once
// Text -> Snapshot: loads, expands, parses and compiles a configuration.  Runs on any thread that
// may block (the builder thread of a server, `pillion check`, `pillion explain`).

#include <memory>
#include <string>

#include "proxy/base/log_writer.h"
#include "proxy/config/errors.h"
#include "proxy/options.h"
#include "proxy/snapshot.h"

namespace pillion::telemetry {
class SpanExporter;
}

namespace pillion {

// The snapshot that options.config_path and options.config_yaml stand for.  Everything that is
// wrong goes to `errors`, sorted out by file and line; null if anything is (or errors.ok() is
// false). `writer` is where access logs go and outlives the snapshot; null opens nothing, which is
// enough for checking and explaining.  Likewise `spans`, for what tracers record.
std::shared_ptr<const Snapshot> build_snapshot(const Options& options, LogWriter* writer,
                                               config::Errors& errors,
                                               telemetry::SpanExporter* spans = nullptr);

}  // namespace pillion
