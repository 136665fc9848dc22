#pragma once
// Interned: objects that are shared under a name for as long as somebody has them.
//
// One for each kind of object, for ever; whoever calls holds the mutex.

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace pillion::tls {

template <typename T>
class Interned {
 public:
  std::mutex mutex;

  // Null: nobody has it.
  [[nodiscard]] std::shared_ptr<const T> find(const std::string& name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second.lock();
  }
  void put(const std::string& name, const std::shared_ptr<const T>& object) {
    by_name_[name] = object;
    if (by_name_.size() < prune_at_) return;
    std::erase_if(by_name_, [](const auto& entry) { return entry.second.expired(); });
    prune_at_ = std::max(kFewest, 2 * by_name_.size());
  }

 private:
  static constexpr size_t kFewest = 64;
  std::unordered_map<std::string, std::weak_ptr<const T>> by_name_;
  size_t prune_at_ = kFewest;  // entries: each is looked at once for each that was added
};

}  // namespace pillion::tls
