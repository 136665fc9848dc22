#include "proxy/base/url_pem.h"

#include <cstring>

#include "proxy/base/base64.h"

namespace pillion {
namespace {

char* copy(char* out, std::string_view text) noexcept {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

constexpr size_t kLine = 48;  // bytes, which are 64 characters

}  // namespace

char* write_url_pem(char* out, std::string_view der) noexcept {
  out = copy(out, "-----BEGIN%20CERTIFICATE-----%0A");
  while (!der.empty()) {
    char line[base64_size(kLine)];
    const char* const end = write_base64(line, der.substr(0, kLine));
    der.remove_prefix(der.size() < kLine ? der.size() : kLine);
    for (const char* c = line; c != end; ++c) {
      if (*c == '+') {
        out = copy(out, "%2B");
      } else if (*c == '/') {
        out = copy(out, "%2F");
      } else if (*c == '=') {
        out = copy(out, "%3D");
      } else {
        *out++ = *c;
      }
    }
    out = copy(out, "%0A");
  }
  return copy(out, "-----END%20CERTIFICATE-----%0A");
}

}  // namespace pillion
