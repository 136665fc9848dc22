#pragma once
// WatchedFiles: the files that one source of secrets reads, watched all together.

#include <map>
#include <memory>
#include <set>
#include <string>

#include "proxy/io/file_watch.h"

namespace pillion::certs {

// Watches of files that are not named any more end.  `loop` and `observer` outlive it.
class WatchedFiles {
 public:
  WatchedFiles(io::Loop& loop, io::FileObserver& observer) : loop_(loop), observer_(observer) {}
  // True if one is watched that was not before: what was read of it until now may have changed
  // unnoticed, and is to be read again.
  bool set(const std::set<std::string>& files);
  void clear() { watches_.clear(); }

 private:
  io::Loop& loop_;
  io::FileObserver& observer_;
  std::map<std::string, std::unique_ptr<io::FileWatch>> watches_;
};

}  // namespace pillion::certs
