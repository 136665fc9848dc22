#pragma once
// AccessLogger: what core/ knows of access logs.  telemetry/ implements it (formats, filters,
// sinks).  Part of the immutable configuration, shared by all workers; log() runs on any worker, is
// thread-safe, never blocks, and hands its line to the writer thread by a bounded queue.

#include "proxy/core/stream_info.h"

namespace pillion::core {

class AccessLogger {
 public:
  virtual ~AccessLogger() = default;
  // `info` is complete: called once per stream, after its end and before its arena is freed.
  virtual void log(const StreamInfo& info) const = 0;
};

}  // namespace pillion::core
