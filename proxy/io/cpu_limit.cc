#include "proxy/io/cpu_limit.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>

namespace pillion::io {
namespace {

struct Cgroup {
  std::string mount_point;
  std::string path;  // below it; "" or "/a/b"
  bool is_v2 = false;
};

bool has_item(std::string_view list, std::string_view item) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (list.substr(0, comma) == item) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// Our cgroup in the hierarchy: lines are "4:cpu,cpuacct:/a/b" (v1) and "0::/a/b" (v2).
std::optional<std::string> path_in_hierarchy(const std::string& root, bool is_v2) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string_view controllers =
        std::string_view(line).substr(first + 1, second - first - 1);
    const bool matches = is_v2 ? line.starts_with("0::") : has_item(controllers, "cpu");
    if (matches) return line.substr(second + 1);
  }
  return std::nullopt;
}

// Lines of mountinfo (proc(5)):
// "36 35 98:0 <root> <mount point> <options> [tags...] - <type> <source> <super options>"
std::optional<Cgroup> find_cgroup(const std::string& root, bool is_v2) {
  const std::optional<std::string> path = path_in_hierarchy(root, is_v2);
  if (!path) return std::nullopt;
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t dash = line.find(" - ");
    if (dash == line.npos) continue;
    std::istringstream left(line.substr(0, dash));
    std::istringstream right(line.substr(dash + 3));
    std::string skipped, mount_root, mount_point, type, source, options;
    left >> skipped >> skipped >> skipped >> mount_root >> mount_point;
    right >> type >> source >> options;
    if (type != (is_v2 ? "cgroup2" : "cgroup") || (!is_v2 && !has_item(options, "cpu"))) continue;
    // A container without a cgroup namespace sees its own cgroup as the root of the mount.
    Cgroup group{root + mount_point, *path, is_v2};
    if (mount_root != "/" && group.path.starts_with(mount_root))
      group.path.erase(0, mount_root.size());
    if (group.path == "/") group.path.clear();
    return group;
  }
  return std::nullopt;
}

uint32_t whole_cpus(double quota, double period) {
  if (!(quota > 0) || !(period > 0)) return 0;
  const double cpus = quota / period;
  const auto whole = static_cast<uint32_t>(std::min(cpus, 1e6));
  return whole < cpus ? whole + 1 : whole;
}

uint32_t quota_at(const std::string& folder, bool is_v2) {
  double quota = 0;
  double period = 0;
  if (is_v2) {
    std::ifstream(folder + "/cpu.max") >> quota >> period;  // "max 100000" does not read as numbers
  } else {
    std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;  // -1: none
    std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  }
  return whole_cpus(quota, period);
}

}  // namespace

uint32_t cpu_limit(const std::string& root) {
  uint32_t least = 0;
  for (const bool is_v2 : {true, false}) {
    std::optional<Cgroup> group = find_cgroup(root, is_v2);
    while (group) {
      const uint32_t here = quota_at(group->mount_point + group->path, is_v2);
      if (here != 0) least = least == 0 ? here : std::min(least, here);
      if (group->path.empty()) break;
      group->path.resize(std::min(group->path.rfind('/'), group->path.size() - 1));
    }
  }
  return least;
}

}  // namespace pillion::io
