#pragma once
// Metadata: the dynamic metadata of one stream: what filters tell each other and the access log
// (%DYNAMIC_METADATA(namespace:key)%), by namespace, as values of JSON (google.protobuf.Struct).
//
// Values are plain structs in the stream's arena, and die with it; so do the texts that they point
// to, which whoever sets a value has put there (or they are the configuration's).

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "proxy/base/arena.h"

namespace pillion {
class Json;
}

namespace pillion::core {

struct MetadataMember;

// As google.protobuf.Value.
struct MetadataValue {
  enum class Kind : uint8_t { kNull, kBool, kNumber, kString, kList, kStruct };

  static MetadataValue of(bool value) noexcept;
  static MetadataValue of(double value) noexcept;
  static MetadataValue of(std::string_view value) noexcept;
  static MetadataValue of(const char*) = delete;  // it would be a bool
  // The member of a struct; null if there is none, or this is none.
  [[nodiscard]] const MetadataValue* find(std::string_view key) const noexcept;

  Kind kind = Kind::kNull;
  bool boolean = false;
  double number = 0;
  std::string_view text;
  // Of a list (its keys are empty) and of a struct, in order.
  MetadataMember* first = nullptr;
};

struct MetadataMember {
  std::string_view key;
  MetadataValue value;
  MetadataMember* next = nullptr;
};

class Metadata {
 public:
  // Replaces what the namespace has under that key; its other keys stay.  `space` and `key` live as
  // long as the stream.
  void set(Arena& arena, std::string_view space, std::string_view key, const MetadataValue& value);
  // Null: nothing is there.  An empty path is the whole namespace.
  [[nodiscard]] const MetadataValue* find(std::string_view space,
                                          std::span<const std::string> path) const noexcept;
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }

 private:
  MetadataMember* first_ = nullptr;  // namespaces, each a struct
};

// A copy in the arena.  Depth is bounded by who parsed the document.
MetadataValue metadata_of(const Json& json, Arena& arena);

// A string as it is, anything else as JSON on one line.
void append_text(std::string& out, const MetadataValue& value);

}  // namespace pillion::core
