#pragma once
// A certificate as text in one line, as Envoy's XFCC and %DOWNSTREAM_PEER_CERT% have it: PEM
// (RFC 7468) with its blanks, line ends, '+', '/' and '=' percent-escaped.

#include <cstddef>
#include <string_view>

namespace pillion {

// At most as many characters as write_url_pem() writes for so many bytes of DER.
constexpr size_t url_pem_room(size_t der) noexcept {
  constexpr size_t kMarks = 80;  // both marks with their escapes
  const size_t characters = (der + 2) / 3 * 4;
  return kMarks + 3 * (characters + characters / 64 + 1);
}

// Returns the end of what was written at `out`, which has room for url_pem_room(der.size()).
char* write_url_pem(char* out, std::string_view der) noexcept;

}  // namespace pillion
