#include "proxy/io/file_watch.h"

#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <deque>
#include <filesystem>

#include "proxy/base/assert.h"
#include "proxy/base/str.h"

namespace pillion::io {
namespace {

constexpr int kMaxLinks = 40;     // as the kernel's own limit
constexpr int kMaxRewatches = 5;  // while somebody keeps changing the way

// The components of `path` go in front of those that wait.
void prepend(std::deque<std::string>& parts, std::string_view path) {
  std::deque<std::string> front;
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    if (slash != 0 && path.substr(0, slash) != ".") front.emplace_back(path.substr(0, slash));
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  parts.insert(parts.begin(), front.begin(), front.end());
}

std::string link_target(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
  return n <= 0 ? std::string() : std::string(target, static_cast<size_t>(n));
}

}  // namespace

struct FileWatch::Watch {
  uv_fs_event_t handle;
  FileWatch* owner;
  std::string directory;
  std::vector<std::string> names;  // of interest in it

  [[nodiscard]] bool is_about(std::string_view name) const {
    // The directory itself, when it is moved or deleted, is named by its last component.
    const std::string_view self = std::string_view(directory).substr(directory.rfind('/') + 1);
    return name == self || std::find(names.begin(), names.end(), name) != names.end();
  }
};

Result<std::unique_ptr<FileWatch>> FileWatch::make(Loop& loop, const std::string& path,
                                                   FileObserver& observer) {
  std::error_code error;
  const std::filesystem::path full = std::filesystem::absolute(path, error);
  const std::filesystem::path parent = full.parent_path();
  if (path.empty() || error || full.filename().empty()) {
    return Error{str("cannot watch \"", path, "\": expected the path of a file")};
  }
  if (!std::filesystem::is_directory(parent, error)) {
    const int code = error ? error.value() : ENOTDIR;
    return Error{str("cannot watch ", path, ": ", parent.string(), ": ", std::strerror(code))};
  }
  std::unique_ptr<FileWatch> watch(new FileWatch(loop, full.string(), observer));
  if (auto status = watch->rewatch(); !status) return Error{status.error()};
  watch->version_ = version_of(watch->path_);
  return watch;
}

FileWatch::~FileWatch() { close(watches_); }

// Follows the path as the kernel does.  The last step is the file, or what is missing.
std::vector<FileWatch::Step> FileWatch::steps_to(const std::string& path) {
  std::vector<Step> steps;
  std::deque<std::string> parts;
  prepend(parts, path);
  std::string at;  // free of symlinks; "" is the root
  int links = 0;
  while (!parts.empty()) {
    const std::string name = std::move(parts.front());
    parts.pop_front();
    if (name == "..") {
      at.resize(at.empty() ? 0 : at.rfind('/'));
      continue;
    }
    const std::string full = str(at, "/", name);
    const Step step{at.empty() ? "/" : at, name};
    struct stat st{};
    if (::lstat(full.c_str(), &st) != 0) {
      steps.push_back(step);
      break;
    }
    if (S_ISLNK(st.st_mode)) {
      steps.push_back(step);
      const std::string target = link_target(full);
      if (target.empty() || ++links > kMaxLinks) break;
      if (target.front() == '/') at.clear();
      prepend(parts, target);
    } else if (parts.empty()) {
      steps.push_back(step);
    } else {
      at = full;
    }
  }
  return steps;
}

FileWatch::Version FileWatch::version_of(const std::string& path) {
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) return {};
  return {st.st_dev, st.st_ino, st.st_size, st.st_mtim.tv_sec * 1'000'000'000 + st.st_mtim.tv_nsec};
}

// All watches are made anew: an old one may be dead although its directory is there, because that
// was deleted and made again.
Status<> FileWatch::rewatch() {
  const auto on_uv_event = [](uv_fs_event_t* h, const char* name, int, int) {
    const Watch* watch = reinterpret_cast<Watch*>(h);
    if (watch->owner != nullptr) watch->owner->on_event(*watch, name);
  };
  std::vector<Step> steps = steps_to(path_);
  for (int tries = 0; tries < kMaxRewatches; ++tries) {
    std::vector<Watch*> old;
    old.swap(watches_);
    int failure = 0;
    for (const Step& step : steps) {
      const auto same = std::find_if(watches_.begin(), watches_.end(),
                                     [&](Watch* w) { return w->directory == step.directory; });
      if (same != watches_.end()) {
        (*same)->names.push_back(step.name);
        continue;
      }
      auto* watch = new Watch{{}, this, step.directory, {step.name}};
      watches_.push_back(watch);
      ASSERT(uv_fs_event_init(static_cast<uv_loop_t*>(loop_.native()), &watch->handle) == 0);
      uv_unref(reinterpret_cast<uv_handle_t*>(&watch->handle));
      const int rc = uv_fs_event_start(&watch->handle, on_uv_event, step.directory.c_str(), 0);
      if (rc != 0) failure = rc;
    }
    close(old);
    // Changed while we looked: the change may have come before its watch.
    std::vector<Step> again = steps_to(path_);
    const bool is_stable = again == steps;
    steps = std::move(again);
    if (!is_stable) continue;
    if (failure == 0) return Ok{};
    std::string text = str("cannot watch ", path_, ": ", uv_strerror(failure));
    if (failure == UV_ENOSPC) text += " (see fs.inotify.max_user_watches)";
    if (failure == UV_EMFILE) text += " (see fs.inotify.max_user_instances)";
    return Error{std::move(text)};
  }
  return Error{str("cannot watch ", path_, ": it keeps changing")};
}

void FileWatch::close(std::vector<Watch*>& watches) {
  for (Watch* watch : watches) {
    watch->owner = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(&watch->handle),
             [](uv_handle_t* h) { delete reinterpret_cast<Watch*>(h); });
  }
  watches.clear();
}

void FileWatch::on_event(const Watch& watch, const char* name) {
  if (name != nullptr && !watch.is_about(name)) return;
  const Instant now = loop_.now();
  if (first_event_ == Instant{}) first_event_ = now;
  loop_.arm_at(timer_, std::min(now + kSettle, first_event_ + kMaxSettle));
}

void FileWatch::on_settled() {
  first_event_ = {};
  // Watch first, look then: what changes in between is an event.
  if (!rewatch()) loop_.arm(timer_, kMaxSettle);
  const Version now = version_of(path_);
  if (now == version_) return;
  version_ = now;
  now == Version{} ? observer_.on_file_gone(path_) : observer_.on_file_changed();
}

}  // namespace pillion::io
