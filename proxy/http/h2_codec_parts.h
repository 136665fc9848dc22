#pragma once
// What the halves of H2Session share.  Internal to h2_codec*.cc.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/http/h2_codec.h"

namespace pillion::http {

inline constexpr size_t kFrameHeader = 9;

// Of a callback's user data.
inline H2Session& session_of(void* user) { return *static_cast<H2Session*>(user); }

inline std::string_view text(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace pillion::http
