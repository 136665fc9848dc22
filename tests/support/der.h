#pragma once
// PEM blocks as the DER in them, one behind the other: what the SPIFFE Workload API carries.

#include <string>
#include <string_view>

#include "proxy/base/base64.h"

namespace pillion::testing {

inline std::string der_of(std::string_view pem) {
  std::string out;
  for (size_t at = 0; (at = pem.find("-----BEGIN", at)) != pem.npos;) {
    const size_t begin = pem.find('\n', at);
    const size_t end = pem.find("-----END", begin);
    std::string text;
    for (const char c : pem.substr(begin, end - begin)) {
      if (c != '\n') text += c;
    }
    std::string bytes(Base64Reader::max_size(text.size()), '\0');
    bytes.resize(Base64Reader().read(text, bytes.data()).value());
    out += bytes;
    at = end + 1;
  }
  return out;
}

}  // namespace pillion::testing
