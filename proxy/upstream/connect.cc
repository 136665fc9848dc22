#include "proxy/upstream/connect.h"

#include "proxy/tls/tls_transport.h"

namespace pillion::upstream {

std::unique_ptr<io::Transport> make_transport(io::Loop& loop, const PoolOptions& options,
                                              const ConnectTarget& to, stats::ClusterTlsStats* tls,
                                              bool* bind_failed) {
  std::unique_ptr<io::Socket> socket =
      io::Socket::connect(loop, to.address, options.source_for(to.address), options.socket);
  *bind_failed = socket->bind_failed();
  const std::shared_ptr<const tls::Context>& context = options.tls;
  if (context == nullptr) return socket;
  tls::TlsTransport::Options how;
  // The transport falls back to the context's name.
  if (context->uses_host_name_as_sni()) how.sni = to.hostname;
  if (context->alpn_wire().empty()) how.alpn_wire = to.alpn;
  how.cluster_stats = tls;
  return std::make_unique<tls::TlsTransport>(loop, std::move(socket), context, how);
}

}  // namespace pillion::upstream
