#include "proxy/base/log_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

namespace pillion {
namespace {

using namespace std::chrono_literals;

class LogWriterTest : public ::testing::Test {
 protected:
  LogWriterTest() {
    char name[] = "/tmp/pillion-log-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~LogWriterTest() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }
  [[nodiscard]] static std::string content(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  [[nodiscard]] std::shared_ptr<LogFile> open(LogWriter& writer, const std::string& name) const {
    auto file = writer.open(path(name));
    EXPECT_TRUE(file) << file.error();
    return *file;
  }

  std::string directory_;
};

TEST_F(LogWriterTest, AppendsToWhatIsThere) {
  std::ofstream(path("a.log")) << "before\n";
  LogWriter writer;
  writer.start();
  open(writer, "a.log")->append("after\n");
  ASSERT_TRUE(writer.flush());
  EXPECT_EQ(content(path("a.log")), "before\nafter\n");
}

TEST_F(LogWriterTest, WritesAfterTheFlushInterval) {
  LogWriter writer({.flush_interval = 10ms});
  writer.start();
  const auto file = open(writer, "a.log");
  file->append("line\n");
  while (content(path("a.log")).empty()) std::this_thread::yield();
  EXPECT_EQ(content(path("a.log")), "line\n");
  EXPECT_GE(writer.stats().flushed_by_timer, 1u);
}

TEST_F(LogWriterTest, WritesEarlyWhenEnoughWaits) {
  LogWriter writer({.flush_interval = 1h, .flush_bytes = 1000});
  writer.start();
  const auto file = open(writer, "a.log");
  for (int i = 0; i < 20; ++i) file->append(std::string(99, 'x') + "\n");
  while (content(path("a.log")).size() < 1000) std::this_thread::yield();
  SUCCEED();
}

TEST_F(LogWriterTest, AShorterIntervalWakesAWriterThatSleepsForALongerOne) {
  LogWriter writer({.flush_interval = 1h});
  writer.start();
  const auto slow = open(writer, "slow.log");
  const auto fast = *writer.open(path("fast.log"), 5ms);
  slow->append("slow\n");
  fast->append("fast\n");
  while (content(path("fast.log")).empty()) std::this_thread::yield();
  EXPECT_EQ(content(path("slow.log")), "");
}

TEST_F(LogWriterTest, SleepsWithoutADeadlineWhileNothingWaits) {
  LogWriter writer({.flush_interval = 1ms});
  writer.start();
  const auto file = open(writer, "a.log");
  file->append("line\n");
  ASSERT_TRUE(writer.flush());
  // The thread may pass its loop once or twice more; then the number stands still.
  uint64_t before = 0;
  for (int still = 0; still < 50;) {
    const uint64_t now = writer.stats().wake_ups;
    still = now == before ? still + 1 : 0;
    before = now;
    std::this_thread::sleep_for(1ms);
  }
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(writer.stats().wake_ups, before);
}

TEST_F(LogWriterTest, KeepsTheOrderOfEachThreadAndNeverMixesLines) {
  constexpr int kThreads = 4;
  constexpr int kLines = 2000;
  LogWriter writer({.flush_interval = 1ms, .queue_bytes = 8 << 20});
  writer.start();
  const auto file = open(writer, "a.log");
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&file, t] {
      for (int i = 0; i < kLines; ++i) {
        file->append(std::to_string(t) + " " + std::to_string(i) + " " + std::string(100, 'x') +
                     "\n");
      }
    });
  }
  for (auto& thread : threads) thread.join();
  writer.stop();
  std::ifstream in(path("a.log"));
  int next[kThreads] = {};
  int thread = 0;
  int number = 0;
  std::string padding;
  while (in >> thread >> number >> padding) {
    ASSERT_EQ(number, next[thread]++);
    ASSERT_EQ(padding.size(), 100u);
  }
  for (int n : next) EXPECT_EQ(n, kLines);
  EXPECT_EQ(writer.stats().dropped, 0u);
}

TEST_F(LogWriterTest, DropsAndCountsWhatAFullQueueCannotTake) {
  LogWriter writer({.queue_bytes = 4096});  // no thread: nobody drains
  const auto file = open(writer, "a.log");
  int taken = 0;
  for (int i = 0; i < 100; ++i) taken += file->append(std::string(99, 'x') + "\n") ? 1 : 0;
  EXPECT_LT(taken, 100);
  EXPECT_EQ(writer.stats().dropped, static_cast<uint64_t>(100 - taken));
  writer.stop();
  EXPECT_EQ(content(path("a.log")).size(), static_cast<size_t>(taken) * 100);
}

TEST_F(LogWriterTest, OpensAnewAfterARotation) {
  LogWriter writer({.flush_interval = 1h});
  writer.start();
  const auto file = open(writer, "a.log");
  file->append("old\n");
  ASSERT_TRUE(writer.flush());
  file->append("late\n");  // belongs to the old file: it was written before the rotation was told
  std::filesystem::rename(path("a.log"), path("a.log.1"));
  writer.reopen();
  ASSERT_TRUE(writer.flush());
  file->append("new\n");
  ASSERT_TRUE(writer.flush());
  EXPECT_EQ(content(path("a.log.1")), "old\nlate\n");
  EXPECT_EQ(content(path("a.log")), "new\n");
}

TEST_F(LogWriterTest, KeepsTheOldFileWhenTheNewOneCannotBeOpened) {
  LogWriter writer;
  writer.start();
  const auto file = open(writer, "dir.log");
  std::filesystem::rename(path("dir.log"), path("moved.log"));
  std::filesystem::create_directory(path("dir.log"));
  writer.reopen();
  file->append("line\n");
  ASSERT_TRUE(writer.flush());
  EXPECT_EQ(content(path("moved.log")), "line\n");
  EXPECT_EQ(writer.stats().reopen_failed, 1u);
}

TEST_F(LogWriterTest, TheSamePathIsOneFile) {
  LogWriter writer;
  EXPECT_EQ(open(writer, "a.log"), open(writer, "a.log"));
}

TEST_F(LogWriterTest, WritesTheLinesOfAFileThatIsClosed) {
  LogWriter writer({.flush_interval = 1h});
  writer.start();
  open(writer, "a.log")->append("last words\n");
  while (content(path("a.log")).empty()) std::this_thread::yield();
  EXPECT_EQ(content(path("a.log")), "last words\n");
}

TEST_F(LogWriterTest, WritesTheLinesOfAThreadThatEnded) {
  LogWriter writer({.flush_interval = 1h});
  writer.start();
  const auto file = open(writer, "a.log");
  std::thread([&file] { file->append("from a thread\n"); }).join();
  writer.stop();
  EXPECT_EQ(content(path("a.log")), "from a thread\n");
}

TEST_F(LogWriterTest, SaysWhyAFileCannotBeOpened) {
  LogWriter writer;
  const auto missing = writer.open(path("no/such/a.log"));
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().find("No such file or directory (does its directory exist?)"),
            std::string::npos);
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  const auto fifo = writer.open(path("fifo"));
  ASSERT_FALSE(fifo) << "opening must not wait for a reader";
  EXPECT_NE(fifo.error().find("nobody reads this FIFO"), std::string::npos);
}

TEST_F(LogWriterTest, SurvivesAFullDisk) {
  LogWriter writer;
  writer.start();
  auto file = writer.open("/dev/full");
  ASSERT_TRUE(file);
  (*file)->append("lost\nlost, too\n");
  ASSERT_TRUE(writer.flush());
  EXPECT_EQ(writer.stats().write_failed, 1u);
  EXPECT_EQ(writer.stats().lost, 2u);
}

TEST_F(LogWriterTest, SurvivesAReaderWhoGoesAway) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  const int reader = ::open(path("fifo").c_str(), O_RDONLY | O_NONBLOCK);
  LogWriter writer;
  writer.start();
  const auto file = open(writer, "fifo");
  ::close(reader);
  file->append("nobody reads this\n");
  ASSERT_TRUE(writer.flush());
  EXPECT_EQ(writer.stats().lost, 1u) << "EPIPE, and no SIGPIPE that would end the process";
}

TEST_F(LogWriterTest, AReaderWhoDoesNotReadStallsItsOwnFileOnly) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  const int reader = ::open(path("fifo").c_str(), O_RDONLY | O_NONBLOCK);
  LogWriter writer({.flush_interval = 1ms, .queue_bytes = 16 << 20});
  writer.start();
  const auto stuck = open(writer, "fifo");
  const auto free = open(writer, "free.log");
  const std::string line = std::string(999, 'x') + "\n";
  constexpr size_t kLines = 500;  // far more than a pipe holds
  for (size_t i = 0; i < kLines; ++i) ASSERT_TRUE(stuck->append(line));
  free->append("free\n");
  while (content(path("free.log")).empty()) std::this_thread::yield();
  EXPECT_FALSE(writer.flush(10ms)) << "the pipe is full";
  // As soon as somebody reads, everything arrives.
  size_t received = 0;
  char buffer[65536];
  while (received < kLines * line.size()) {
    const ssize_t n = ::read(reader, buffer, sizeof buffer);
    if (n > 0) received += static_cast<size_t>(n);
  }
  EXPECT_TRUE(writer.flush());
  EXPECT_EQ(writer.stats().lost, 0u);
  ::close(reader);
}

}  // namespace
}  // namespace pillion
