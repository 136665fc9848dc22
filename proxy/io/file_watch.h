#pragma once
// FileWatch: tells when the file at a path has changed, by inotify; an idle one never wakes up.
//
// A change is: written in place, another file renamed over it, deleted and made again, or any
// symlink on the way to it pointing elsewhere (a Kubernetes ConfigMap or Secret swaps `..data`).
// Noticed by watching the directory of the file and of each symlink on the way; what is there is
// then compared with what was (device, inode, size, time of modification), so that neighbours and
// mere reads tell nothing.  A deletion alone is no change, as there is nothing to read; it is
// told as such.  Not noticed: a plain directory further up that is renamed.

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/io/loop.h"

namespace pillion::io {

class FileObserver {
 public:
  // Once per change, when nothing has happened for FileWatch::kSettle.  May destroy the watch.
  virtual void on_file_changed() = 0;
  // It was there and is not any more; once until it comes back, which is a change.
  virtual void on_file_gone(const std::string& path) = 0;

 protected:
  ~FileObserver() = default;
};

class FileWatch {
 public:
  static constexpr Duration kSettle = std::chrono::milliseconds(100);
  // A file that never rests is reported this late at most.
  static constexpr Duration kMaxSettle = std::chrono::seconds(1);

  // The directory must exist, the file need not.  `loop` and `observer` outlive the watch.
  static Result<std::unique_ptr<FileWatch>> make(Loop& loop, const std::string& path,
                                                 FileObserver& observer);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

 private:
  // What tells one version of a file from another; all zero when there is no file.
  struct Version {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    int64_t modified_ns = 0;
    bool operator==(const Version&) const = default;
  };
  // A name whose meaning decides where the path leads, and the directory to watch for it.
  struct Step {
    std::string directory;
    std::string name;
    bool operator==(const Step&) const = default;
  };
  struct Watch;  // one directory

  FileWatch(Loop& loop, std::string path, FileObserver& observer)
      : loop_(loop), observer_(observer), path_(std::move(path)) {}
  static std::vector<Step> steps_to(const std::string& path);
  static Version version_of(const std::string& path);
  // Watches what is on the way now; a sentence if that is impossible.
  Status<> rewatch();
  static void close(std::vector<Watch*>& watches);
  void on_event(const Watch& watch, const char* name);
  void on_settled();

  Loop& loop_;
  FileObserver& observer_;
  std::string path_;  // absolute
  Version version_;
  std::vector<Watch*> watches_;  // each frees itself after libuv has let go of it
  Instant first_event_{};        // of those not yet settled
  Timer timer_ = Timer::of<&FileWatch::on_settled>(this);
};

}  // namespace pillion::io
