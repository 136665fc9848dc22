#include "proxy/config/document.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/base/str.h"
#include "proxy/config/node.h"
#include "proxy/config/suggest.h"

namespace pillion::config {
namespace {

constexpr size_t kFirstBlock = size_t{4} << 10;
constexpr size_t kLargestBlock = size_t{1} << 20;
// Field names repeat; a mapping with more keys than this has the user's own, which do not.
constexpr size_t kMaxInterned = 4096;

}  // namespace

bool is_same_field(const Key& key, std::string_view field) {
  return key.text == field || (key.has_upper && is_camel_case_of(key.text, field));
}

bool is_any_field(const Key& key, std::span<const std::string_view> fields) {
  return std::ranges::any_of(fields,
                             [&key](std::string_view field) { return is_same_field(key, field); });
}

Node Document::root(Errors& errors) const { return {root_, &errors}; }

// Blocks double in size, so that a small document is small and a large one has few.
void* Document::allocate(size_t bytes, size_t align) {
  auto at = (reinterpret_cast<uintptr_t>(cursor_) + align - 1) & ~(align - 1);
  if (cursor_ == nullptr || at + bytes > reinterpret_cast<uintptr_t>(end_)) {
    const size_t next = std::clamp(bytes_, kFirstBlock, kLargestBlock);
    const size_t size = std::max(next, bytes + align);
    blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(size));
    bytes_ += size;
    cursor_ = blocks_.back().get();
    end_ = cursor_ + size;
    at = (reinterpret_cast<uintptr_t>(cursor_) + align - 1) & ~(align - 1);
  }
  cursor_ = reinterpret_cast<std::byte*>(at + bytes);
  return reinterpret_cast<void*>(at);
}

std::string_view Document::copy(std::string_view text) {
  if (text.empty()) return "";
  char* to = static_cast<char*>(allocate(text.size(), 1));
  std::memcpy(to, text.data(), text.size());
  return {to, text.size()};
}

const Key* Document::intern(std::string_view key) {
  if (auto found = keys_.find(key); found != keys_.end()) return found->second;
  const std::string_view text = copy(key);
  const bool has_upper =
      std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  const Key* made = new (allocate(sizeof(Key), alignof(Key))) Key{text, has_upper};
  if (keys_.size() < kMaxInterned) keys_.emplace(text, made);
  return made;
}

TreeBuilder::TreeBuilder(std::string source) : document_(new Document) {
  document_->source_ = std::move(source);
}

void TreeBuilder::at(Mark mark) {
  mark_ = mark;
  origin_ = nullptr;
}

void TreeBuilder::from(const Value* origin) {
  // Straight to the text: a chain of origins would keep every intermediate document alive.
  origin_ = origin != nullptr && origin->is_derived ? origin->origin : origin;
}

void TreeBuilder::keep_alive(std::shared_ptr<const Document> document) {
  document_->others_.push_back(std::move(document));
}

TreeBuilder& TreeBuilder::key(std::string_view key, Mark mark) {
  ASSERT(open_container() != nullptr && open_container()->kind == Kind::kMapping);
  ASSERT(next_key_ == nullptr);
  next_key_ = document_->intern(key);
  next_key_mark_ = mark.line == 0 ? mark_ : mark;
  return *this;
}

const Value* TreeBuilder::open_container() const {
  return open_.empty() ? nullptr : open_.back().container;
}

Value& TreeBuilder::add(Kind kind) {
  auto* value = new (document_->allocate(sizeof(Value), alignof(Value))) Value;
  value->kind = kind;
  value->mark = mark_;
  if (origin_ != nullptr) {
    value->origin = origin_;
    value->is_derived = true;
  } else {
    value->source = &document_->source_;
  }
  ++document_->value_count_;
  last_value_ = value;
  if (open_.empty()) {
    ASSERT(document_->root_ == nullptr);
    document_->root_ = value;
    return *value;
  }
  auto& [container, last_child] = open_.back();
  value->parent = container;
  if (container->kind == Kind::kMapping) {
    ASSERT(next_key_ != nullptr);
    value->key = std::exchange(next_key_, nullptr);
    value->key_mark = next_key_mark_;
  } else {
    value->index = container->size;
  }
  if (last_child == nullptr) {
    container->first_child = value;
  } else {
    last_child->next = value;
  }
  ++container->size;
  last_child = value;
  return *value;
}

Value& TreeBuilder::add_scalar(std::string_view text, bool is_quoted) {
  ASSERT(text.size() <= std::numeric_limits<uint32_t>::max());
  Value& value = add(Kind::kScalar);
  const std::string_view kept = document_->copy(text);
  value.text = kept.data();
  value.size = static_cast<uint32_t>(kept.size());
  value.is_quoted = is_quoted;
  return value;
}

void TreeBuilder::null() { add(Kind::kNull); }
void TreeBuilder::plain(std::string_view text) { add_scalar(text, false); }
void TreeBuilder::string(std::string_view text) { add_scalar(text, true); }
void TreeBuilder::number(uint64_t value) { add_scalar(str(value), false); }
void TreeBuilder::boolean(bool value) { add_scalar(value ? "true" : "false", false); }

Value& TreeBuilder::open(Kind kind) {
  Value& value = add(kind);
  open_.push_back({&value, nullptr});
  return value;
}

void TreeBuilder::begin_sequence() { open(Kind::kSequence); }
void TreeBuilder::begin_mapping() { open(Kind::kMapping); }

void TreeBuilder::open_like(const Value& container) { copy_place(container, open(container.kind)); }

void TreeBuilder::end() {
  ASSERT(!open_.empty() && next_key_ == nullptr);
  open_.pop_back();
}

void TreeBuilder::copy_place(const Value& from, Value& to) {
  to.mark = from.mark;
  to.is_derived = from.is_derived;
  if (from.is_derived) {
    to.origin = from.origin;
  } else {
    to.source = from.source;
  }
}

// Recursion is bounded by the depth that the loader allows.
void TreeBuilder::copy(const Value& value) {
  if (value.kind == Kind::kNull) return copy_place(value, add(Kind::kNull));
  if (value.kind == Kind::kScalar) {
    return copy_place(value, add_scalar(value.scalar(), value.is_quoted));
  }
  open_like(value);
  for (const Value* child = value.first_child; child != nullptr; child = child->next) {
    if (value.kind == Kind::kMapping) key(child->key->text, child->key_mark);
    copy(*child);
  }
  end();
}

std::shared_ptr<const Document> TreeBuilder::finish() {
  ASSERT(open_.empty());
  if (document_->root_ == nullptr) null();
  decltype(document_->keys_)().swap(document_->keys_);
  return std::move(document_);
}

}  // namespace pillion::config
