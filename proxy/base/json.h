#pragma once
// Json: a parsed JSON text.  The one wrapper around the JSON library; never throws.  For what comes
// from other programs (key sets, registries, tests); off the data path.
//
//   auto document = JsonDocument::parse(text);
//   if (!document) return Error{document.error()};            // "line 3, column 7: ..."
//   for (Json key : document->root()["keys"].items()) use(key["kid"].as_string());
//
// A Json is a view of a value, valid while its document lives.  What does not exist, or is of
// another kind, reads as the default: missing fields of foreign documents are normal.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/result.h"

namespace pillion {

class Json {
 public:
  enum class Kind : uint8_t { kMissing, kNull, kBool, kNumber, kString, kArray, kObject };

  Json() = default;
  [[nodiscard]] Kind kind() const noexcept;
  [[nodiscard]] bool is_missing() const noexcept { return value_ == nullptr; }
  [[nodiscard]] bool is_object() const noexcept { return kind() == Kind::kObject; }
  [[nodiscard]] bool is_array() const noexcept { return kind() == Kind::kArray; }

  [[nodiscard]] Json operator[](std::string_view key) const;
  // Items of an array, values of an object; 0 for anything else.
  [[nodiscard]] size_t size() const noexcept;
  [[nodiscard]] std::vector<Json> items() const;
  // Sorted by key.
  [[nodiscard]] std::vector<std::pair<std::string_view, Json>> entries() const;

  [[nodiscard]] std::string_view as_string(std::string_view fallback = {}) const noexcept;
  [[nodiscard]] bool as_bool(bool fallback = false) const noexcept;
  [[nodiscard]] double as_double(double fallback = 0) const noexcept;
  // An integer within int64_t; a number with a fraction or beyond is none.
  [[nodiscard]] std::optional<int64_t> as_int() const noexcept;

  // As text; `indent` spaces a level, none: on one line.  Bytes that are no UTF-8 become U+FFFD.
  [[nodiscard]] std::string dump(int indent = -1) const;

 private:
  friend class JsonDocument;
  explicit Json(const void* value) noexcept : value_(value) {}
  const void* value_ = nullptr;  // the library's node
};

class JsonDocument {
 public:
  static constexpr size_t kMaxDepth = 1000;

  // What becomes of an object that names a key twice (RFC 8259, 4 leaves it open).  Whoever decides
  // by the text refuses it: another reader may believe the other value.
  enum class Keys : uint8_t { kLastWins, kUnique };

  // A whole JSON text (RFC 8259).  The error says where.  Deeper nesting than `max_depth` is one.
  static Result<JsonDocument> parse(std::string_view text, size_t max_depth = kMaxDepth,
                                    Keys keys = Keys::kLastWins);
  [[nodiscard]] Json root() const noexcept { return Json(root_.get()); }

 private:
  explicit JsonDocument(std::shared_ptr<const void> root) noexcept : root_(std::move(root)) {}
  std::shared_ptr<const void> root_;
};

}  // namespace pillion
