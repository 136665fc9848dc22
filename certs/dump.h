#pragma once
// A secret in force as Envoy's message, for /config_dump: without keys and other texts that are
// nobody's business, which are not even looked at.

#include <string>

#include "proxy/config/loader.h"
#include "proxy/tls/secret.h"

namespace pillion::certs {

config::DocumentPtr to_document(const std::string& name, const tls::Secret& secret);

}  // namespace pillion::certs
