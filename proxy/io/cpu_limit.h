#pragma once
// How much CPU the cgroup of this process may use: the number of workers follows from it.

#include <cstdint>
#include <string>

namespace pillion::io {

// Whole CPUs, rounded up; 0 if there is no limit.  The tightest quota on the way from our cgroup to
// the topmost visible one counts: cgroup v2 (cpu.max) and v1 (cpu.cfs_quota_us).
// Tests give a folder as `root`; files are looked for below it.
uint32_t cpu_limit(const std::string& root = "");

}  // namespace pillion::io
