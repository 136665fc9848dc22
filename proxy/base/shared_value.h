#pragma once
// SharedValue: a value that is held once in the process, however many hold it: the localities and
// labels of a hundred thousand endpoints are few.  Texts: shared_text.h.
//
//   SharedValue<Locality> a(Locality{"eu", "", ""}), b(Locality{"eu", "", ""});   // one Locality
//
// A pointer to the value, which nobody can change, and may be empty.  Equal values are the same
// object, so that comparing costs nothing.  The last holder's end frees it.
//
// Any thread.  Making one takes a lock (of the type) and a look-up; copies and ends do not, but for
// the end of the last one.  T has operator== and `size_t value_hash(const T&)`, found by its
// namespace; std::string has one here.

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "proxy/base/holder_count.h"

namespace pillion {

inline size_t value_hash(const std::string& text) noexcept {
  return std::hash<std::string_view>{}(text);
}

// For a value_hash() of several parts.
inline void mix_hash(size_t& hash, size_t more) noexcept {
  hash = (hash ^ (hash >> 31)) * 0x9e3779b97f4a7c15ULL + more;
}

template <typename T>
class SharedValue {
 public:
  SharedValue() = default;
  SharedValue(std::nullptr_t) noexcept {}
  explicit SharedValue(T value) : node_(table().intern(std::move(value))) {}
  SharedValue(const SharedValue& other) noexcept : node_(other.node_) {
    if (node_ != nullptr) node_->holders.fetch_add(1, std::memory_order_relaxed);
  }
  SharedValue(SharedValue&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  SharedValue& operator=(SharedValue other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~SharedValue() {
    if (node_ != nullptr) release(*node_);
  }

  [[nodiscard]] const T* get() const noexcept { return node_ == nullptr ? nullptr : &node_->value; }
  const T& operator*() const noexcept { return node_->value; }
  const T* operator->() const noexcept { return &node_->value; }
  explicit operator bool() const noexcept { return node_ != nullptr; }
  friend bool operator==(const SharedValue& a, const SharedValue& b) noexcept {
    return a.node_ == b.node_;
  }
  friend bool operator==(const SharedValue& a, std::nullptr_t) noexcept {
    return a.node_ == nullptr;
  }

  // How many different ones there are; for tests.
  static size_t count() { return table().size(); }

 private:
  struct Node {
    Node(T v, size_t h) : value(std::move(v)), hash(h) {}
    const T value;
    const size_t hash;
    // Reaches 0 under the table's lock alone.
    std::atomic<size_t> holders{1};
  };
  struct Wanted {
    const T& value;
    size_t hash;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(const auto& what) const noexcept { return hash_of(what); }
    static size_t hash_of(const Wanted& wanted) noexcept { return wanted.hash; }
    static size_t hash_of(const std::unique_ptr<Node>& node) noexcept { return node->hash; }
    static size_t hash_of(const Node* node) noexcept { return node->hash; }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const std::unique_ptr<Node>& a, const std::unique_ptr<Node>& b) const noexcept {
      return a == b;
    }
    bool operator()(const Wanted& a, const std::unique_ptr<Node>& b) const noexcept {
      return a.hash == b->hash && a.value == b->value;
    }
    bool operator()(const Node* a, const std::unique_ptr<Node>& b) const noexcept {
      return a == b.get();
    }
  };

  class Table {
   public:
    Node* intern(T value) {
      const size_t hash = value_hash(value);
      const std::lock_guard lock(mutex_);
      if (const auto it = nodes_.find(Wanted{value, hash}); it != nodes_.end()) {
        (*it)->holders.fetch_add(1, std::memory_order_relaxed);
        return it->get();
      }
      return nodes_.insert(std::make_unique<Node>(std::move(value), hash)).first->get();
    }
    // The last holder goes, unless somebody interns the same value meanwhile.
    void release(Node& node) {
      const std::lock_guard lock(mutex_);
      if (node.holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
      const Node* const gone = &node;
      nodes_.erase(nodes_.find(gone));
    }
    size_t size() {
      const std::lock_guard lock(mutex_);
      return nodes_.size();
    }

   private:
    std::mutex mutex_;
    std::unordered_set<std::unique_ptr<Node>, Hash, Equal> nodes_;
  };
  // Lives as long as the process: holders of static lifetime may end after anything else.
  static Table& table() {
    static Table* const all = new Table;
    return *all;
  }

  static void release(Node& node) noexcept {
    if (!leave_unless_last(node.holders)) table().release(node);
  }

  Node* node_ = nullptr;
};

}  // namespace pillion
