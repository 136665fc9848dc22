#pragma once
// Response flags: why a response is not what an upstream sent, in Envoy's short words.
//
// A stream has the flag of its Failure's row, and may have others that do not end it (a retry
// limit, an injected delay): those are bits, `info.flags |=
// flag_bit(ResponseFlag::kDelayInjected)`.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/base/failure.h"

namespace pillion {

enum class ResponseFlag : uint8_t {
#define RESPONSE_FLAG(constant, name, long_name) constant,
#include "proxy/base/response_flags.inc"
#undef RESPONSE_FLAG
};

struct ResponseFlagRow {
  std::string_view name;
  std::string_view long_name;
};
inline constexpr ResponseFlagRow kResponseFlags[] = {
#define RESPONSE_FLAG(constant, name, long_name) {name, long_name},
#include "proxy/base/response_flags.inc"
#undef RESPONSE_FLAG
};
inline constexpr size_t kResponseFlagCount = sizeof kResponseFlags / sizeof kResponseFlags[0];
static_assert(kResponseFlagCount <= 32);

constexpr uint32_t flag_bit(ResponseFlag flag) noexcept {
  return uint32_t{1} << static_cast<unsigned>(flag);
}
// The bit of a short name, 0 if there is no such flag.
constexpr uint32_t find_flag_bit(std::string_view name) noexcept {
  for (size_t i = 0; i < kResponseFlagCount; ++i) {
    if (kResponseFlags[i].name == name) return uint32_t{1} << i;
  }
  return 0;
}
// The bit of a failure's own flag, 0 if it has none.
inline uint32_t flag_bit(Failure failure) noexcept {
  const std::string_view name = failure ? failure.row().flag : std::string_view();
  return name.empty() ? 0 : find_flag_bit(name);
}

}  // namespace pillion
