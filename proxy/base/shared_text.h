#pragma once
// SharedText: a text that is held once in the process, however many hold it: the name of a cluster
// stands in twenty maps, and so does the version of a resource.
//
//   SharedText a("orders"), b(std::string("orders"));   // one text; each is a pointer to it
//
// Nobody can change it.  To be read as any view; equal texts are the same object, so that comparing
// for equality costs nothing, while order is that of the texts.  An empty one takes no memory, and
// the last holder's end frees the others.
//
// Any thread.  Making one takes a lock and a look-up; copies and ends do not, but for the end of
// the last one.

#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/base/holder_count.h"

namespace pillion {

class SharedText {
 public:
  SharedText() noexcept = default;
  SharedText(std::string_view text) : node_(text.empty() ? nullptr : intern(text)) {}  // NOLINT
  SharedText(const std::string& text) : SharedText(std::string_view(text)) {}          // NOLINT
  SharedText(const char* text) : SharedText(std::string_view(text)) {}                 // NOLINT
  SharedText(const SharedText& other) noexcept : node_(other.node_) {
    if (node_ != nullptr) node_->holders.fetch_add(1, std::memory_order_relaxed);
  }
  SharedText(SharedText&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  SharedText& operator=(SharedText other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~SharedText() {
    if (node_ != nullptr) release(*node_);
  }

  // Lives as long as any holder.
  [[nodiscard]] std::string_view view() const noexcept {
    return node_ == nullptr ? std::string_view() : std::string_view(text_of(node_), node_->size);
  }
  operator std::string_view() const noexcept { return view(); }  // NOLINT: that is what it is
  operator std::string() const { return str(); }  // NOLINT: a copy, off the data path
  [[nodiscard]] std::string str() const { return std::string(view()); }
  [[nodiscard]] size_t size() const noexcept { return node_ == nullptr ? 0 : node_->size; }
  [[nodiscard]] bool empty() const noexcept { return node_ == nullptr; }
  // Of the text; the same for equal ones in one process.
  [[nodiscard]] size_t hash() const noexcept { return hash_of(view()); }

  friend bool operator==(const SharedText& a, const SharedText& b) noexcept {
    return a.node_ == b.node_;
  }
  friend bool operator==(const SharedText& a, std::string_view b) noexcept { return a.view() == b; }
  friend bool operator==(const SharedText& a, const std::string& b) noexcept {
    return a.view() == b;
  }
  friend bool operator==(const SharedText& a, const char* b) noexcept { return a.view() == b; }
  friend std::strong_ordering operator<=>(const SharedText& a, const SharedText& b) noexcept {
    return a.view() <=> b.view();
  }
  friend std::strong_ordering operator<=>(const SharedText& a, std::string_view b) noexcept {
    return a.view() <=> b;
  }
  friend std::strong_ordering operator<=>(const SharedText& a, const std::string& b) noexcept {
    return a.view() <=> std::string_view(b);
  }
  friend std::ostream& operator<<(std::ostream& out, const SharedText& text);

  // As hash(), of any text.
  static size_t hash_of(std::string_view text) noexcept {
    return text.empty() ? 0 : std::hash<std::string_view>{}(text);
  }
  // How many different ones there are; for tests.
  static size_t count();

 private:
  // In one block with its text, behind it.
  struct Node {
    // Reaches 0 under the table's lock alone.
    std::atomic<uint32_t> holders;
    uint32_t size;
  };
  class Table;
  static Table& table();
  static const char* text_of(const Node* node) noexcept {
    return reinterpret_cast<const char*>(node) + sizeof(Node);
  }
  static Node* intern(std::string_view text);
  static void release(Node& node) noexcept {
    if (!leave_unless_last(node.holders)) release_last(node);
  }
  static void release_last(Node& node) noexcept;

  Node* node_ = nullptr;
};

inline size_t value_hash(const SharedText& text) noexcept { return text.hash(); }

// For hash maps that are asked by views.
struct SharedTextHash {
  using is_transparent = void;
  size_t operator()(const SharedText& text) const noexcept { return text.hash(); }
  size_t operator()(const std::string& text) const noexcept { return SharedText::hash_of(text); }
  size_t operator()(std::string_view text) const noexcept { return SharedText::hash_of(text); }
};
struct SharedTextEqual {
  using is_transparent = void;
  bool operator()(const auto& a, const auto& b) const noexcept { return a == b; }
};

}  // namespace pillion
