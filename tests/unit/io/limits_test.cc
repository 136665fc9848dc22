// What the operating system allows us: CPUs and descriptors.

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>

#include "proxy/io/cpu_limit.h"
#include "proxy/io/descriptors.h"

namespace pillion::io {
namespace {

namespace fs = std::filesystem;

class CpuLimitTest : public ::testing::Test {
 protected:
  CpuLimitTest() {
    std::string name = (fs::temp_directory_path() / "pillion_cpu_XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~CpuLimitTest() override { fs::remove_all(root_); }
  void write(const std::string& path, std::string_view text) {
    const fs::path full = root_ + path;
    fs::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }
  std::string root_;
};

constexpr std::string_view kV2Mount =
    "22 1 0:20 / / rw - ext4 /dev/sda1 rw\n"
    "30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

TEST_F(CpuLimitTest, RoundsTheQuotaOfVersion2Up) {
  write("/proc/self/mountinfo", kV2Mount);
  write("/proc/self/cgroup", "0::/pod/app\n");
  const struct {
    const char* max;
    uint32_t expected;
  } rows[] = {{"max 100000", 0},    {"100000 100000", 1}, {"150000 100000", 2},
              {"200000 100000", 2}, {"10000 100000", 1},  {"", 0}};
  for (const auto& row : rows) {
    write("/sys/fs/cgroup/pod/app/cpu.max", row.max);
    EXPECT_EQ(cpu_limit(root_), row.expected) << row.max;
  }
}

TEST_F(CpuLimitTest, TakesTheTightestOfOurAncestors) {
  write("/proc/self/mountinfo", kV2Mount);
  write("/proc/self/cgroup", "0::/pod/app\n");
  write("/sys/fs/cgroup/pod/app/cpu.max", "400000 100000");
  write("/sys/fs/cgroup/pod/cpu.max", "250000 100000");
  EXPECT_EQ(cpu_limit(root_), 3U);
}

TEST_F(CpuLimitTest, ReadsVersion1InAContainerWithoutItsOwnNamespace) {
  // The mount shows only /docker/x, which /proc/self/cgroup calls by its name on the host.
  write("/proc/self/mountinfo",
        "40 22 0:30 /docker/x /sys/fs/cgroup/cpuset ro - cgroup cgroup rw,cpuset\n"
        "41 22 0:31 /docker/x /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n");
  write("/proc/self/cgroup", "5:cpuset:/docker/x\n4:cpu,cpuacct:/docker/x\n");
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "50000\n");
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(cpu_limit(root_), 0U);
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "120000\n");
  EXPECT_EQ(cpu_limit(root_), 3U);
}

TEST_F(CpuLimitTest, IsZeroWithoutCgroups) {
  EXPECT_EQ(cpu_limit(root_), 0U);
  write("/proc/self/mountinfo", "garbage\n\n - - -\n");
  write("/proc/self/cgroup", "0\n::\n:\n");
  EXPECT_EQ(cpu_limit(root_), 0U);
}

TEST(DescriptorLimit, IsRaisedToTheHardLimit) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 64;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  const size_t limit = raise_descriptor_limit();
  EXPECT_EQ(limit, std::min<size_t>(before.rlim_max, 1'048'576));
  rlimit after{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, limit);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
}  // namespace pillion::io
