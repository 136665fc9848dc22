#include "proxy/tls/wipe.h"

#include <openssl/mem.h>

namespace pillion::tls {

void wipe(std::string& text) noexcept {
  text.resize(text.capacity());  // within its memory: nothing moves
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

}  // namespace pillion::tls
