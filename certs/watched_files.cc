#include "certs/watched_files.h"

#include <utility>

#include "proxy/base/log.h"

namespace pillion::certs {

void WatchedFiles::set(const std::set<std::string>& files) {
  std::erase_if(watches_, [&files](const auto& item) { return !files.contains(item.first); });
  for (const std::string& file : files) {
    std::unique_ptr<io::FileWatch>& watch = watches_[file];
    if (watch != nullptr) continue;
    if (auto made = io::FileWatch::make(loop_, file, observer_)) {
      watch = std::move(*made);
    } else {
      watches_.erase(file);
      log::warning(log::kTls, "changes of a file are not noticed; send SIGHUP",
                   {{"reason", made.error()}});
    }
  }
}

}  // namespace pillion::certs
