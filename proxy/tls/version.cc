#include "proxy/tls/version.h"

#include <openssl/base.h>

#define PILLION_TEXT_OF(x) #x
#define PILLION_TEXT(x) PILLION_TEXT_OF(x)

namespace pillion::tls {

std::string_view boringssl_version() noexcept { return "API " PILLION_TEXT(BORINGSSL_API_VERSION); }

}  // namespace pillion::tls
