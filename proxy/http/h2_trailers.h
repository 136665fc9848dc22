#pragma once
// Trailers that wait behind a stream's DATA, as bytes in the same Buffer: what a stream of gRPC
// holds at its end is one slab.  Internal to h2_codec*.cc.

#include <cstdint>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/http/headers.h"

namespace pillion::http {

// Returns how many bytes it has appended.
uint32_t append_trailers(Buffer& to, const Headers& trailers);

// Reads them again, once; the fields are views of `text`.
class TrailerText {
 public:
  explicit TrailerText(std::string_view text) noexcept : text_(text) {}
  // False when there is none left.
  bool next(Field& field) noexcept;

 private:
  std::string_view take(size_t size) noexcept;
  std::string_view text_;
};

}  // namespace pillion::http
