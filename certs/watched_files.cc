#include "certs/watched_files.h"

#include <utility>

#include "proxy/base/log.h"

namespace pillion::certs {

bool WatchedFiles::set(const std::set<std::string>& files) {
  bool has_new = false;
  std::erase_if(watches_, [&files](const auto& item) { return !files.contains(item.first); });
  for (const std::string& file : files) {
    std::unique_ptr<io::FileWatch>& watch = watches_[file];
    if (watch != nullptr) continue;
    if (auto made = io::FileWatch::make(loop_, file, observer_)) {
      watch = std::move(*made);
      has_new = true;
    } else {
      watches_.erase(file);
      log::warning(log::kTls, "changes of a file are not noticed; send SIGHUP",
                   {{"reason", made.error()}});
    }
  }
  return has_new;
}

}  // namespace pillion::certs
