#include "proxy/upstream/connect.h"

#include <cstring>

#include "proxy/base/str.h"
#include "proxy/tls/refused_transport.h"
#include "proxy/tls/tls_transport.h"

namespace pillion::upstream {

std::unique_ptr<io::Transport> make_transport(io::Loop& loop, const PoolOptions& options,
                                              const ConnectTarget& to, const ConnectBlocks& blocks,
                                              bool* bind_failed) {
  std::shared_ptr<const tls::Context> context;
  if (to.tls != nullptr && (context = to.tls->current()) == nullptr) {
    if (blocks.tls_factory != nullptr) blocks.tls_factory->upstream_context_secrets_not_ready.inc();
    *bind_failed = false;
    return std::make_unique<tls::RefusedTransport>(loop, Failure{FailureKind::kTlsFailed},
                                                   tls::kSecretsNotReady);
  }
  std::unique_ptr<io::Socket> socket =
      io::Socket::connect(loop, to.address, options.source_for(to.address), options.socket);
  *bind_failed = socket->bind_failed();
  if (context == nullptr) return socket;
  tls::TlsTransport::Options how;
  // The transport falls back to the context's name.
  if (context->uses_host_name_as_sni()) how.sni = to.hostname;
  if (context->alpn_wire().empty()) how.alpn_wire = to.alpn;
  how.server = to.address;
  how.cluster_stats = blocks.tls;
  return std::make_unique<tls::TlsTransport>(loop, std::move(socket), context, how);
}

std::string transport_failure_reason(const io::Transport& transport, Failure failure) {
  if (!transport.failure_reason().empty()) return std::string(transport.failure_reason());
  if (failure.detail == 0 || failure.kind == FailureKind::kConnectTimeout) return {};
  const bool is_local = failure.kind == FailureKind::kConnectLocal;
  char text[64];
  return str(is_local ? "immediate" : "delayed",
             " connect error: ", ::strerror_r(failure.detail, text, sizeof text));
}

}  // namespace pillion::upstream
