#include "proxy/upstream/connect.h"

#include "proxy/tls/refused_transport.h"
#include "proxy/tls/tls_transport.h"

namespace pillion::upstream {

std::unique_ptr<io::Transport> make_transport(io::Loop& loop, const PoolOptions& options,
                                              const ConnectTarget& to, const ConnectBlocks& blocks,
                                              bool* bind_failed) {
  std::shared_ptr<const tls::Context> context;
  if (options.tls != nullptr && (context = options.tls->current()) == nullptr) {
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
  how.cluster_stats = blocks.tls;
  return std::make_unique<tls::TlsTransport>(loop, std::move(socket), context, how);
}

}  // namespace pillion::upstream
