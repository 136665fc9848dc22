#pragma once
// The tree behind config::Node: immutable once built, every value with the place it was written at.
//
// A Document owns its values and texts in large blocks and is freed in one go.  It is built by a
// TreeBuilder, from YAML (loader.h), from the short mesh YAML (expand.h) or from protobuf messages.
// Built by one thread, then shared as shared_ptr<const Document> with any.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proxy/config/errors.h"

namespace pillion::config {

class Node;

enum class Kind : uint8_t { kNull, kScalar, kSequence, kMapping };

// A mapping's key; the common ones are stored once per Document.
struct Key {
  std::string_view text;
  bool has_upper;  // may be the camelCase spelling of a field (proto3 JSON mapping)
};

// Does the key name this field, in either spelling?  `field` is in snake_case.
bool is_same_field(const Key& key, std::string_view field);
bool is_any_field(const Key& key, std::span<const std::string_view> fields);

// One cache line.  Children are a list in the order of the text.
struct Value {
  const Value* parent = nullptr;
  const Value* next = nullptr;  // sibling
  union {
    const Value* first_child = nullptr;
    const char* text;  // of a scalar, `size` bytes
  };
  const Key* key = nullptr;  // set if the parent is a mapping
  union {
    const std::string* source = nullptr;  // name of the file or resource
    const Value* origin;  // is_derived: the value of the short file that this one stands for
  };
  uint32_t size = 0;  // children, or bytes of text
  Mark mark;
  union {
    Mark key_mark{};  // if the parent is a mapping
    uint32_t index;   // if it is a sequence
  };
  Kind kind = Kind::kNull;
  bool is_quoted = false;   // a scalar that was quoted in YAML or is a string by type
  bool is_derived = false;  // place and path are those of `origin`

  [[nodiscard]] std::string_view scalar() const {
    return kind == Kind::kScalar ? std::string_view(text, size) : std::string_view();
  }
};
static_assert(sizeof(Value) <= 64);

class Document {
 public:
  Document(const Document&) = delete;
  Document& operator=(const Document&) = delete;

  // The Node keeps neither the document nor `errors` alive.
  [[nodiscard]] Node root(Errors& errors) const;
  [[nodiscard]] const Value& root_value() const { return *root_; }
  [[nodiscard]] const std::string& source() const { return source_; }
  [[nodiscard]] size_t value_count() const { return value_count_; }
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  friend class TreeBuilder;
  Document() = default;

  void* allocate(size_t bytes, size_t align);
  std::string_view copy(std::string_view text);
  const Key* intern(std::string_view key);

  std::vector<std::unique_ptr<std::byte[]>> blocks_;
  std::byte* cursor_ = nullptr;
  std::byte* end_ = nullptr;
  std::unordered_map<std::string_view, const Key*> keys_;
  std::string source_;
  std::vector<std::shared_ptr<const Document>>
      others_;  // sources and origins of values lie in these
  const Value* root_ = nullptr;
  size_t value_count_ = 0;
  size_t bytes_ = 0;
};

// Builds a Document in the order of its text:
//   value    := null | scalar... | begin_sequence value* end | begin_mapping (key value)* end
//   document := value finish
// Breaking this order is a programming error and aborts.  A key given twice is not noticed here:
// the loader reports it.
class TreeBuilder {
 public:
  explicit TreeBuilder(std::string source);

  // The place of the values that follow: a mark in the source ...
  void at(Mark mark);
  // ... or the place and path of a value of another document, which must be kept alive.  nullptr
  // ends it.
  void from(const Value* origin);
  void keep_alive(std::shared_ptr<const Document> document);

  TreeBuilder& key(std::string_view key, Mark mark = {});
  void null();
  // A plain scalar: what it is (number, bool, string) is decided when it is read.
  void plain(std::string_view text);
  // A string, whatever it looks like.
  void string(std::string_view text);
  void number(uint64_t value);
  void boolean(bool value);
  void begin_sequence();
  void begin_mapping();
  // Opens a list or mapping at the place of another one, as copy() does.
  void open_like(const Value& container);
  void end();
  // A deep copy that keeps the places of the original, whose document must be kept alive.
  void copy(const Value& value);

  // How deep the value that comes next is nested (0: the root).
  [[nodiscard]] size_t depth() const { return open_.size(); }
  [[nodiscard]] size_t value_count() const { return document_->value_count_; }
  // The container that is open, with the children so far; null outside of one.
  [[nodiscard]] const Value* open_container() const;
  // The value added last; it stays where it is.
  [[nodiscard]] const Value* last_value() const { return last_value_; }

  [[nodiscard]] std::shared_ptr<const Document> finish();

 private:
  struct Open {
    Value* container;
    Value* last_child;
  };
  Value& add(Kind kind);
  Value& add_scalar(std::string_view text, bool is_quoted);
  Value& open(Kind kind);
  static void copy_place(const Value& from, Value& to);

  std::shared_ptr<Document> document_;
  std::vector<Open> open_;
  const Value* last_value_ = nullptr;
  const Key* next_key_ = nullptr;
  Mark next_key_mark_;
  const Value* origin_ = nullptr;
  Mark mark_;
};

}  // namespace pillion::config
