#pragma once
// The functions that BoringSSL calls during a handshake, installed in every SSL_CTX.  They find the
// TlsTransport by the session's app data.

#include "proxy/tls/context_config.h"

struct ssl_ctx_st;

namespace pillion::tls {

void install_callbacks(ssl_ctx_st& ctx, const ContextConfig& config);

}  // namespace pillion::tls
