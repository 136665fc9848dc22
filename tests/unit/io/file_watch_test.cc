#include "proxy/io/file_watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/run_until.h"

namespace pillion::io {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class FileWatchTest : public ::testing::Test, public FileObserver {
 protected:
  FileWatchTest() {
    std::string name = (fs::temp_directory_path() / "pillion_watch_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    file_ = folder_ / "mesh.yaml";
    write(file_, "one");
  }
  ~FileWatchTest() override {
    watch_.reset();
    fs::remove_all(folder_);
  }
  void on_file_changed() override {
    ++changes_;
    if (destroy_in_callback_) watch_.reset();
  }
  void on_file_gone(const std::string& path) override { gone_.push_back(path); }

  static void write(const fs::path& path, std::string_view text) {
    std::ofstream(path, std::ios::trunc) << text;
  }
  void watch(const fs::path& path) {
    auto made = FileWatch::make(loop_, path.string(), *this);
    ASSERT_TRUE(made) << made.error();
    watch_ = std::move(*made);
  }
  // One change is told, and no second one of the same cause.
  void expect_one_change(const char* what) {
    const int before = changes_;
    EXPECT_TRUE(testing::run_until(loop_, [&] { return changes_ > before; }, 3s)) << what;
    testing::run_for(loop_, 2 * FileWatch::kSettle);
    EXPECT_EQ(changes_, before + 1) << what;
  }
  void expect_no_change(const char* what) {
    const int before = changes_;
    testing::run_for(loop_, 3 * FileWatch::kSettle);
    EXPECT_EQ(changes_, before) << what;
  }

  Loop loop_;
  fs::path folder_;
  fs::path file_;
  std::unique_ptr<FileWatch> watch_;
  int changes_ = 0;
  std::vector<std::string> gone_;
  bool destroy_in_callback_ = false;
};

TEST_F(FileWatchTest, TellsOnceThatTheFileIsGone) {
  watch(file_);
  fs::remove(file_);
  ASSERT_TRUE(testing::run_until(loop_, [&] { return !gone_.empty(); }, 3s));
  write(folder_ / "neighbour", "one");
  expect_no_change("a deletion");
  EXPECT_EQ(gone_, std::vector<std::string>{file_.string()});
  write(file_, "two");
  expect_one_change("made again");
  fs::remove(file_);
  EXPECT_TRUE(testing::run_until(loop_, [&] { return gone_.size() == 2; }, 3s));
}

TEST_F(FileWatchTest, DoesNotTellOfAFileThatIsReplaced) {
  watch(file_);
  write(folder_ / "next", "two");
  fs::rename(folder_ / "next", file_);
  expect_one_change("renamed over it");
  EXPECT_TRUE(gone_.empty());
}

TEST_F(FileWatchTest, NoticesWritesInPlaceAndRenamesOver) {
  watch(file_);
  expect_no_change("nothing happened");
  write(file_, "two and more");
  expect_one_change("truncated and written");
  std::ofstream(file_, std::ios::app) << "!";
  expect_one_change("appended");
  write(file_, "two and more?");
  expect_one_change("another content of the same size");
  write(folder_ / "mesh.yaml.new", "two and more?");
  fs::rename(folder_ / "mesh.yaml.new", file_);
  expect_one_change("renamed over, same content");
  // Editors: the old one is moved away, a new one is written.
  fs::rename(file_, folder_ / "mesh.yaml~");
  write(file_, "three");
  expect_one_change("moved away and written again");
}

TEST_F(FileWatchTest, TellsManyWritesInARowAsOneChange) {
  watch(file_);
  for (int i = 0; i < 20; ++i) {
    write(file_, std::string(static_cast<size_t>(i), 'x'));
    loop_.run_once(false);
  }
  expect_one_change("twenty writes");
}

TEST_F(FileWatchTest, TellsOfAFileThatNeverRests) {
  watch(file_);
  const Instant begin = MonotonicClock::now();
  size_t size = 0;
  while (changes_ == 0 && MonotonicClock::now() < begin + 5s) {
    write(file_, std::string(++size, 'x'));
    testing::run_for(loop_, 20ms);
  }
  EXPECT_EQ(changes_, 1);
  EXPECT_GE(MonotonicClock::now() - begin, FileWatch::kMaxSettle);
}

TEST_F(FileWatchTest, TellsOfReCreationAndNotOfDeletion) {
  watch(file_);
  fs::remove(file_);
  expect_no_change("deleted: there is nothing to read");
  write(file_, "one");
  expect_one_change("made again");
  fs::remove(file_);
  write(file_, "one");
  expect_one_change("deleted and made again at once");
}

TEST_F(FileWatchTest, WaitsForAFileThatIsNotThereYet) {
  fs::remove(file_);
  watch(file_);
  expect_no_change("still missing");
  write(file_, "one");
  expect_one_change("made");
}

TEST_F(FileWatchTest, IgnoresNeighboursReadsAndModes) {
  watch(file_);
  write(folder_ / "other", "x");
  fs::remove(folder_ / "other");
  fs::permissions(file_, fs::perms::owner_read | fs::perms::owner_write);
  std::string text;
  std::ifstream(file_) >> text;
  expect_no_change("neighbours");
}

// As kubelet does it: mesh.yaml -> ..data/mesh.yaml, ..data -> ..2026_1.
TEST_F(FileWatchTest, NoticesTheSymlinkSwapOfAConfigMap) {
  fs::remove(file_);
  const auto make_version = [&](const char* name, std::string_view text) {
    fs::create_directory(folder_ / name);
    write(folder_ / name / "mesh.yaml", text);
  };
  const auto swap_to = [&](const char* name) {
    fs::create_symlink(name, folder_ / "..data_tmp");
    fs::rename(folder_ / "..data_tmp", folder_ / "..data");
  };
  make_version("..2026_1", "one");
  swap_to("..2026_1");
  fs::create_symlink("..data/mesh.yaml", file_);
  watch(file_);
  for (const char* name : {"..2026_2", "..2026_3"}) {
    make_version(name, "one");
    expect_no_change("the new version is not in use yet");
    swap_to(name);
    expect_one_change(name);
  }
  fs::remove_all(folder_ / "..2026_2");
  expect_no_change("an old version is deleted");
  write(folder_ / "..2026_3" / "mesh.yaml", "written through");
  expect_one_change("the target is written in place");
}

TEST_F(FileWatchTest, FollowsALinkInAParentFolder) {
  // conf -> releases/1, an absolute link back, and a file in it that is a link once more.
  fs::create_directories(folder_ / "releases/1");
  fs::create_directories(folder_ / "releases/2");
  write(folder_ / "releases/1/a.yaml", "one");
  write(folder_ / "releases/2/a.yaml", "two");
  fs::create_symlink(folder_ / "releases/1", folder_ / "conf");
  fs::create_symlink("../conf/a.yaml", folder_ / "releases/link.yaml");
  watch(folder_ / "releases/../releases/./link.yaml");
  fs::create_symlink("releases/2", folder_ / "next");
  fs::rename(folder_ / "next", folder_ / "conf");
  expect_one_change("the parent's link");
  write(folder_ / "releases/1/a.yaml", "nobody looks here any more");
  expect_no_change("the old target");
  write(folder_ / "releases/2/a.yaml", "2");
  expect_one_change("the new target");
}

TEST_F(FileWatchTest, SurvivesThatItsFolderIsReplaced) {
  const fs::path conf = folder_ / "conf";
  fs::create_directory(conf);
  write(conf / "a.yaml", "one");
  watch(conf / "a.yaml");
  fs::create_directory(folder_ / "new");
  write(folder_ / "new/a.yaml", "two");
  fs::rename(conf, folder_ / "old");
  fs::rename(folder_ / "new", conf);
  expect_one_change("moved away, another one moved here");
  // Deleted and made again: the inode number may be the old one, the watch on it is dead.
  fs::remove_all(conf);
  expect_no_change("deleted");
  fs::create_directory(conf);
  write(conf / "a.yaml", "three");
  expect_one_change("made again");
  write(conf / "a.yaml", "four!");
  expect_one_change("and written once more");
}

TEST_F(FileWatchTest, NamesWhatIsMissing) {
  const auto error_of = [&](const std::string& path) {
    auto made = FileWatch::make(loop_, path, *this);
    return made ? std::string() : made.error();
  };
  const std::string missing = (folder_ / "nowhere").string();
  EXPECT_EQ(error_of(missing + "/a.yaml"),
            "cannot watch " + missing + "/a.yaml: " + missing + ": No such file or directory");
  EXPECT_EQ(error_of(file_.string() + "/a.yaml"),
            "cannot watch " + file_.string() + "/a.yaml: " + file_.string() + ": Not a directory");
  EXPECT_EQ(error_of(""), "cannot watch \"\": expected the path of a file");
}

TEST_F(FileWatchTest, EndsOnARingOfLinks) {
  fs::create_symlink("b", folder_ / "a");
  fs::create_symlink("a", folder_ / "b");
  watch(folder_ / "a");
  fs::remove(folder_ / "b");
  write(folder_ / "b", "a file at last");
  expect_one_change("the ring was broken");
}

TEST_F(FileWatchTest, MayBeDestroyedInItsCallback) {
  watch(file_);
  destroy_in_callback_ = true;
  write(file_, "two, which is longer");
  expect_one_change("written");
  EXPECT_EQ(watch_, nullptr);
}

TEST_F(FileWatchTest, IdleNeverWakesTheLoop) {
  watch(file_);
  testing::run_for(loop_, 50ms);
  const uint64_t turns = loop_.counts.turns;
  testing::run_for(loop_, 300ms);
  // run_for() itself: each of its turns ends twice (before and after the wait).
  EXPECT_LE(loop_.counts.turns - turns, 8U);
}

}  // namespace
}  // namespace pillion::io
