#pragma once
// PackedBytes: bytes that are kept for the rare case that somebody asks for them, such as the
// messages of a control plane for /config_dump, in less memory.
//
//   PackedBytes kept(message, name);
//   kept.unpack(name) == message
//
// What a message repeats of itself, or of the text that both calls are given (its resource's name),
// takes a few bytes: endpoints say the same but for an address.  A quarter to a half of it is left.
// One to three microseconds for 400 bytes, so that a change of endpoints can afford it.  Not a
// format: nothing that has been packed leaves the process.
//
// A value; copies and equal ones share their memory.  Any thread.

#include <string>
#include <string_view>

#include "proxy/base/shared_text.h"

namespace pillion {

class PackedBytes {
 public:
  PackedBytes() = default;
  explicit PackedBytes(std::string_view bytes, std::string_view like = {});

  [[nodiscard]] std::string unpack(std::string_view like = {}) const;
  // What is kept; for tests.
  [[nodiscard]] size_t packed_size() const noexcept { return packed_.size(); }
  // Of bytes that were packed with the same text.
  friend bool operator==(const PackedBytes&, const PackedBytes&) = default;

 private:
  SharedText packed_;
};

}  // namespace pillion
