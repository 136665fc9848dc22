#pragma once
// A doubly linked list threaded through its elements: no allocation, O(1) removal from the element.
//
//   class Waiter : public ListNode<> {...};        // or ListNode<Tag> to be on several lists
//   IntrusiveList<Waiter> waiters;
//
// The list does not own its elements.  An element that dies while linked unlinks itself.

#include <cstddef>

#include "proxy/base/assert.h"

namespace pillion {

struct DefaultListTag {};

template <typename Tag = DefaultListTag>
class ListNode {
 public:
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { unlink(); }

  [[nodiscard]] bool is_linked() const noexcept { return next_ != nullptr; }
  void unlink() noexcept {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = nullptr;
  }

 private:
  template <typename T, typename U>
  friend class IntrusiveList;
  ListNode* prev_ = nullptr;
  ListNode* next_ = nullptr;
};

template <typename T, typename Tag = DefaultListTag>
class IntrusiveList {
  using Node = ListNode<Tag>;

 public:
  IntrusiveList() noexcept { head_.prev_ = head_.next_ = &head_; }
  ~IntrusiveList() {
    clear();
    head_.prev_ = head_.next_ = nullptr;
  }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  [[nodiscard]] bool empty() const noexcept { return head_.next_ == &head_; }
  // O(n); for tests and statistics.
  [[nodiscard]] size_t size() const noexcept {
    size_t n = 0;
    for (const Node* p = head_.next_; p != &head_; p = p->next_) ++n;
    return n;
  }
  void push_back(T& item) noexcept { insert_before(head_, item); }
  void push_front(T& item) noexcept { insert_before(*head_.next_, item); }
  [[nodiscard]] T* front() const noexcept { return empty() ? nullptr : cast(head_.next_); }
  [[nodiscard]] T* back() const noexcept { return empty() ? nullptr : cast(head_.prev_); }
  T* pop_front() noexcept { return unlinked(front()); }
  T* pop_back() noexcept { return unlinked(back()); }
  static void erase(T& item) noexcept { static_cast<Node&>(item).unlink(); }
  void clear() noexcept {
    while (pop_front() != nullptr) {
    }
  }
  // Moves all elements of `other` to the end of this list.
  void splice(IntrusiveList& other) noexcept {
    if (other.empty()) return;
    Node* first = other.head_.next_;
    Node* last = other.head_.prev_;
    other.head_.prev_ = other.head_.next_ = &other.head_;
    first->prev_ = head_.prev_;
    head_.prev_->next_ = first;
    last->next_ = &head_;
    head_.prev_ = last;
  }
  // The successor of `item`, or null at the end.  Take it before an action that may unlink `item`.
  [[nodiscard]] T* next(T& item) const noexcept {
    Node* n = static_cast<Node&>(item).next_;
    return n == &head_ ? nullptr : cast(n);
  }

 private:
  static T* cast(Node* n) noexcept { return static_cast<T*>(n); }
  static T* unlinked(T* item) noexcept {
    if (item != nullptr) static_cast<Node*>(item)->unlink();
    return item;
  }
  static void insert_before(Node& at, T& item) noexcept {
    Node& n = static_cast<Node&>(item);
    DASSERT(!n.is_linked());
    n.prev_ = at.prev_;
    n.next_ = &at;
    at.prev_->next_ = &n;
    at.prev_ = &n;
  }
  mutable Node head_;
};

}  // namespace pillion
