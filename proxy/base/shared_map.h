#pragma once
// SharedMap: a map by text, in the order of the text, whose copies share what is equal in them.
//
// A copy costs one pointer for about 48 items; a change of one item in a copy costs as much again,
// and the others stay the same objects in both.  So a configuration of ten thousand pieces is
// handed on and changed for microseconds, and diff() of two versions looks at what differs alone.
//
// An object belongs to one thread at a time, as a std::map does; what copies share is never
// changed, so that each may be on a thread of its own.  Values are changed through operator[] only:
// the reference it returns is good until the next call of anything on the object or a copy of it.

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/atomic_ref.h"
#include "proxy/base/shared_text.h"

namespace pillion {

template <typename T>
class SharedMap {
 public:
  using value_type = std::pair<const SharedText, T>;

 private:
  // Counted in itself: of ten thousand items a shared_ptr's own block is more than their leaves.
  struct Node : value_type, AtomicRefCounted {
    explicit Node(value_type item) : value_type(std::move(item)) {}
  };
  using Item = AtomicRef<Node>;
  using Leaf = std::vector<Item>;  // sorted, never empty
  using LeafPtr = std::shared_ptr<const Leaf>;
  static constexpr size_t kMaxLeaf = 64;

 public:
  class const_iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = SharedMap::value_type;
    using difference_type = std::ptrdiff_t;
    using pointer = const value_type*;
    using reference = const value_type&;

    const_iterator() = default;
    reference operator*() const { return *item(); }
    pointer operator->() const { return item().get(); }
    const_iterator& operator++() {
      if (++at_ == (*leaves_)[leaf_]->size()) {
        ++leaf_;
        at_ = 0;
      }
      return *this;
    }
    const_iterator operator++(int) {
      const const_iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const const_iterator& a, const const_iterator& b) {
      return a.leaf_ == b.leaf_ && a.at_ == b.at_;
    }

   private:
    friend class SharedMap;
    const_iterator(const std::vector<LeafPtr>& leaves, size_t leaf, size_t at)
        : leaves_(&leaves), leaf_(leaf), at_(at) {}
    [[nodiscard]] const Item& item() const { return (*(*leaves_)[leaf_])[at_]; }
    [[nodiscard]] bool is_at_end() const { return leaf_ == leaves_->size(); }
    [[nodiscard]] const Leaf* whole_leaf() const {
      return at_ == 0 ? (*leaves_)[leaf_].get() : nullptr;
    }
    void skip_leaf() { ++leaf_; }

    const std::vector<LeafPtr>* leaves_ = nullptr;
    size_t leaf_ = 0;
    size_t at_ = 0;
  };
  using iterator = const_iterator;

  [[nodiscard]] const_iterator begin() const { return {leaves_, 0, 0}; }
  [[nodiscard]] const_iterator end() const { return {leaves_, leaves_.size(), 0}; }
  [[nodiscard]] size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

  [[nodiscard]] const_iterator find(std::string_view name) const {
    const Place place = place_of(name);
    return place.is_there ? const_iterator(leaves_, place.leaf, place.at) : end();
  }
  [[nodiscard]] bool contains(std::string_view name) const { return place_of(name).is_there; }
  // The first that does not come before that name.
  [[nodiscard]] const_iterator lower_bound(std::string_view name) const {
    const Place place = place_of(name);
    if (leaves_.empty()) return end();
    const bool is_behind_leaf = place.at == leaves_[place.leaf]->size();
    return is_behind_leaf ? const_iterator(leaves_, place.leaf + 1, 0)
                          : const_iterator(leaves_, place.leaf, place.at);
  }

  // The value, to be changed: a copy of what others share, or a new one.
  T& operator[](std::string_view name) {
    const Place place = place_of(name);
    if (leaves_.empty()) leaves_.push_back(std::make_shared<const Leaf>());
    Leaf leaf = *leaves_[place.leaf];
    const Item item =
        make_atomic_ref<Node>(place.is_there ? *leaf[place.at] : value_type(SharedText(name), T{}));
    T& value = item->second;
    if (place.is_there) {
      leaf[place.at] = item;
    } else {
      leaf.insert(leaf.begin() + static_cast<std::ptrdiff_t>(place.at), item);
      ++size_;
    }
    replace(place.leaf, std::move(leaf));
    return value;
  }

  bool erase(std::string_view name) {
    const Place place = place_of(name);
    if (!place.is_there) return false;
    Leaf leaf = *leaves_[place.leaf];
    leaf.erase(leaf.begin() + static_cast<std::ptrdiff_t>(place.at));
    --size_;
    replace(place.leaf, std::move(leaf));
    return true;
  }
  template <typename Predicate>
  friend size_t erase_if(SharedMap& map, Predicate is_out) {
    std::vector<SharedText> names;
    for (const value_type& item : map)
      if (is_out(item)) names.push_back(item.first);
    for (const SharedText& name : names) map.erase(name);
    return names.size();
  }
  void clear() {
    leaves_.clear();
    size_ = 0;
  }

  // Calls fn(name, before, after) for each item that is not the same object in both, in the order
  // of names; null where it is not there.
  template <typename Fn>
  friend void diff(const SharedMap& before, const SharedMap& after, Fn fn) {
    compare(before, after, fn);
  }

 private:
  template <typename Fn>
  static void compare(const SharedMap& before, const SharedMap& after, Fn& fn) {
    const_iterator a = before.begin();
    const_iterator b = after.begin();
    while (!a.is_at_end() || !b.is_at_end()) {
      if (b.is_at_end()) {
        fn(a->first, &a->second, static_cast<const T*>(nullptr));
        ++a;
      } else if (a.is_at_end()) {
        fn(b->first, static_cast<const T*>(nullptr), &b->second);
        ++b;
      } else if (a.whole_leaf() != nullptr && a.whole_leaf() == b.whole_leaf()) {
        a.skip_leaf();
        b.skip_leaf();
      } else if (a.item() == b.item()) {
        ++a;
        ++b;
      } else if (const auto order = a->first <=> b->first; order < 0) {
        fn(a->first, &a->second, static_cast<const T*>(nullptr));
        ++a;
      } else if (order > 0) {
        fn(b->first, static_cast<const T*>(nullptr), &b->second);
        ++b;
      } else {
        fn(b->first, &a->second, &b->second);
        ++a;
        ++b;
      }
    }
  }

  struct Place {
    size_t leaf = 0;
    size_t at = 0;
    bool is_there = false;
  };

  // Where it is, or belongs.
  [[nodiscard]] Place place_of(std::string_view name) const {
    const auto after = std::upper_bound(
        leaves_.begin(), leaves_.end(), name,
        [](std::string_view n, const LeafPtr& leaf) { return n < leaf->front()->first; });
    if (after == leaves_.begin()) return {};
    const Leaf& leaf = **std::prev(after);
    const auto it =
        std::lower_bound(leaf.begin(), leaf.end(), name,
                         [](const Item& item, std::string_view n) { return item->first < n; });
    return {static_cast<size_t>(std::prev(after) - leaves_.begin()),
            static_cast<size_t>(it - leaf.begin()), it != leaf.end() && (*it)->first == name};
  }

  // A full leaf becomes two; one that got small joins the next.
  void replace(size_t at, Leaf leaf) {
    const auto place = leaves_.begin() + static_cast<std::ptrdiff_t>(at);
    if (leaf.empty()) {
      leaves_.erase(place);
      return;
    }
    if (leaf.size() > kMaxLeaf) {
      // Names mostly come in their order: the first half is not grown again.
      const auto middle = leaf.begin() + static_cast<std::ptrdiff_t>(kMaxLeaf * 3 / 4);
      auto second = std::make_shared<const Leaf>(middle, leaf.end());
      *place = std::make_shared<const Leaf>(leaf.begin(), middle);
      leaves_.insert(std::next(place), std::move(second));
      return;
    }
    const auto next = std::next(place);
    if (next != leaves_.end() && leaf.size() + (*next)->size() <= kMaxLeaf / 2) {
      leaf.insert(leaf.end(), (*next)->begin(), (*next)->end());
      leaves_.erase(next);
    }
    leaf.shrink_to_fit();
    *place = std::make_shared<const Leaf>(std::move(leaf));
  }

  std::vector<LeafPtr> leaves_;
  size_t size_ = 0;
};

// A set of names, likewise.
class SharedNames {
 public:
  SharedNames() = default;
  template <typename Names>
    requires requires(const Names& names) { names.begin()->size(); }
  SharedNames(const Names& names) {  // NOLINT: any list of texts is one
    for (const auto& name : names) insert(name);
  }

  // True if it is new.
  bool insert(std::string_view name) {
    if (names_.contains(name)) return false;
    (void)names_[name];
    return true;
  }
  bool erase(std::string_view name) { return names_.erase(name); }
  [[nodiscard]] bool contains(std::string_view name) const { return names_.contains(name); }
  [[nodiscard]] size_t size() const noexcept { return names_.size(); }
  [[nodiscard]] bool empty() const noexcept { return names_.empty(); }
  template <typename Fn>
  void for_each(Fn fn) const {
    for (const auto& item : names_) fn(item.first);
  }
  template <typename Predicate>
  friend size_t erase_if(SharedNames& names, Predicate is_out) {
    return erase_if(names.names_, [&is_out](const auto& item) { return is_out(item.first); });
  }
  // Calls fn(name, is_in_after) for each name that only one has.
  template <typename Fn>
  friend void diff(const SharedNames& before, const SharedNames& after, Fn fn) {
    diff(before.names_, after.names_,
         [&fn](std::string_view name, const Nothing* a, const Nothing* b) {
           if (a == nullptr || b == nullptr) fn(name, b != nullptr);
         });
  }
  friend bool are_same(const SharedNames& a, const SharedNames& b) {
    bool same = a.size() == b.size();
    if (same) diff(a, b, [&same](std::string_view, bool) { same = false; });
    return same;
  }

 private:
  struct Nothing {};
  SharedMap<Nothing> names_;
};

}  // namespace pillion
