#include "proxy/base/shared_text.h"

#include <cstring>
#include <mutex>
#include <new>
#include <ostream>
#include <vector>

#include "proxy/base/assert.h"

namespace pillion {

// All texts, by linear probing: a standard set takes a node of 32 bytes for each of them.
class SharedText::Table {
 public:
  Node* intern(std::string_view text) {
    // Before the lock: texts may be long.
    const size_t hash = hash_of(text);
    const std::lock_guard lock(mutex_);
    if (places_.size() < (used_ + 1) * 4 / 3 + 1) resize(places_.size() * 3 / 2 + 64);
    const size_t at = place_of(text, hash);
    if (Node* const known = places_[at]; known != nullptr) {
      known->holders.fetch_add(1, std::memory_order_relaxed);
      return known;
    }
    ASSERT(text.size() <= UINT32_MAX);
    void* const memory = ::operator new(sizeof(Node) + text.size());
    auto* const node = new (memory) Node{1, static_cast<uint32_t>(text.size())};
    std::memcpy(static_cast<char*>(memory) + sizeof(Node), text.data(), text.size());
    places_[at] = node;
    ++used_;
    return node;
  }
  // The last holder goes, unless somebody interns the same text meanwhile.
  void release(Node& node) noexcept {
    const size_t hash = hash_of(std::string_view(text_of(&node), node.size));
    const std::lock_guard lock(mutex_);
    if (node.holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    size_t at = home_of(hash);
    while (places_[at] != &node) at = next(at);
    close_gap(at);
    --used_;
    node.~Node();
    ::operator delete(&node);
  }
  size_t size() {
    const std::lock_guard lock(mutex_);
    return used_;
  }

 private:
  // No division, and any size will do.
  [[nodiscard]] size_t home_of(size_t hash) const noexcept {
    return ((hash >> 32) * places_.size()) >> 32;
  }
  [[nodiscard]] size_t home_of(const Node& node) const noexcept {
    return home_of(hash_of(std::string_view(text_of(&node), node.size)));
  }
  [[nodiscard]] size_t next(size_t at) const noexcept {
    return at + 1 == places_.size() ? 0 : at + 1;
  }
  // Where it is, or the empty place for it.
  [[nodiscard]] size_t place_of(std::string_view text, size_t hash) const noexcept {
    size_t at = home_of(hash);
    for (; places_[at] != nullptr; at = next(at)) {
      const Node* const node = places_[at];
      if (std::string_view(text_of(node), node->size) == text) break;
    }
    return at;
  }
  // What stands behind it, and was pushed there, moves up.
  void close_gap(size_t gap) noexcept {
    for (size_t at = next(gap); places_[at] != nullptr; at = next(at)) {
      const size_t home = home_of(*places_[at]);
      const bool is_between = gap < at ? home > gap && home <= at : home > gap || home <= at;
      if (is_between) continue;
      places_[gap] = places_[at];
      gap = at;
    }
    places_[gap] = nullptr;
  }
  void resize(size_t size) {
    std::vector<Node*> old(size, nullptr);
    old.swap(places_);
    for (Node* const node : old) {
      if (node == nullptr) continue;
      size_t at = home_of(*node);
      while (places_[at] != nullptr) at = next(at);
      places_[at] = node;
    }
  }

  std::mutex mutex_;
  std::vector<Node*> places_;
  size_t used_ = 0;
};

// Lives as long as the process: holders of static lifetime may end after anything else.
SharedText::Table& SharedText::table() {
  static Table* const all = new Table;
  return *all;
}

SharedText::Node* SharedText::intern(std::string_view text) { return table().intern(text); }
void SharedText::release_last(Node& node) noexcept { table().release(node); }
size_t SharedText::count() { return table().size(); }

std::ostream& operator<<(std::ostream& out, const SharedText& text) { return out << text.view(); }

}  // namespace pillion
