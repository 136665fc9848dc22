#include "proxy/base/shared_text.h"

#include <array>
#include <cstring>
#include <mutex>
#include <new>
#include <ostream>
#include <random>
#include <vector>

#include "proxy/base/assert.h"

namespace pillion {

namespace {

uint64_t random_bits() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace

// All texts, by linear probing: a standard set takes a node of 32 bytes for each of them.  In
// shards, each with a lock of its own, that grow alone: in one table a growth took 20 ms.
class SharedText::Table {
 public:
  Node* intern(std::string_view text) {
    ASSERT(text.size() <= UINT32_MAX);
    // Before the lock: texts may be long.
    const uint64_t hash = scattered(text);
    return shard_of(hash).intern(*this, text, hash);
  }
  void release(Node& node) noexcept {
    const uint64_t hash = scattered(text_in(node));
    shard_of(hash).release(*this, node, hash);
  }
  size_t size() {
    size_t all = 0;
    for (Shard& shard : shards_) all += shard.size();
    return all;
  }

 private:
  static constexpr size_t kShards = 16;

  static std::string_view text_in(const Node& node) noexcept { return {text_of(&node), node.size}; }
  // Clients choose some of the names (virtual hosts on demand): where they go nobody outside knows.
  [[nodiscard]] uint64_t scattered(std::string_view text) const noexcept {
    return (hash_of(text) ^ mask_) * factor_;
  }

  class Shard {
   public:
    Node* intern(const Table& table, std::string_view text, uint64_t hash) {
      const std::lock_guard lock(mutex_);
      if (places_.size() < (used_ + 1) * 4 / 3 + 1) resize(table, places_.size() * 3 / 2 + 8);
      const size_t at = place_of(text, hash);
      if (Node* const known = places_[at]; known != nullptr) {
        known->holders.fetch_add(1, std::memory_order_relaxed);
        return known;
      }
      void* const memory = ::operator new(sizeof(Node) + text.size());
      auto* const node = new (memory) Node{1, static_cast<uint32_t>(text.size())};
      std::memcpy(static_cast<char*>(memory) + sizeof(Node), text.data(), text.size());
      places_[at] = node;
      ++used_;
      return node;
    }
    // The last holder goes, unless somebody interns the same text meanwhile.
    void release(const Table& table, Node& node, uint64_t hash) noexcept {
      const std::lock_guard lock(mutex_);
      if (node.holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
      size_t at = home_of(hash);
      while (places_[at] != &node) at = next(at);
      close_gap(table, at);
      --used_;
      node.~Node();
      ::operator delete(&node);
    }
    size_t size() {
      const std::lock_guard lock(mutex_);
      return used_;
    }

   private:
    // No division, and any size will do.  The lowest of the upper bits chose the shard.
    [[nodiscard]] size_t home_of(uint64_t hash) const noexcept {
      return ((hash >> 32) * places_.size()) >> 32;
    }
    [[nodiscard]] size_t next(size_t at) const noexcept {
      return at + 1 == places_.size() ? 0 : at + 1;
    }
    // Where it is, or the empty place for it.
    [[nodiscard]] size_t place_of(std::string_view text, uint64_t hash) const noexcept {
      size_t at = home_of(hash);
      while (places_[at] != nullptr && text_in(*places_[at]) != text) at = next(at);
      return at;
    }
    // What stands behind it, and was pushed there, moves up.
    void close_gap(const Table& table, size_t gap) noexcept {
      for (size_t at = next(gap); places_[at] != nullptr; at = next(at)) {
        const size_t home = home_of(table.scattered(text_in(*places_[at])));
        const bool is_between = gap < at ? home > gap && home <= at : home > gap || home <= at;
        if (is_between) continue;
        places_[gap] = places_[at];
        gap = at;
      }
      places_[gap] = nullptr;
    }
    void resize(const Table& table, size_t size) {
      std::vector<Node*> old(size, nullptr);
      old.swap(places_);
      for (Node* const node : old) {
        if (node == nullptr) continue;
        size_t at = home_of(table.scattered(text_in(*node)));
        while (places_[at] != nullptr) at = next(at);
        places_[at] = node;
      }
    }

    std::mutex mutex_;
    std::vector<Node*> places_;
    size_t used_ = 0;
  };

  Shard& shard_of(uint64_t hash) noexcept { return shards_[(hash >> 32) % kShards]; }

  const uint64_t mask_ = random_bits();
  const uint64_t factor_ = random_bits() | 1;
  std::array<Shard, kShards> shards_;
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
