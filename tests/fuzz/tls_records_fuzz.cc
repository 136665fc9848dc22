// Any bytes as what a peer sends to a TlsTransport, in pieces of any sizes.
//
// The first byte says which side we are and how bytes arrive; the rest is the peer's:
//   bit 0      we are the client, else the server
//   bit 1      the connection is open already, and the bytes follow the peer's own records
//   bit 2      the bytes end with a FIN; bit 3: with a reset
//   bits 4-7   how much arrives at once: 1 << n bytes
//
// Whatever comes: nobody crashes or hangs, a handshake that was not made by our CA never opens, an
// observer is told at most once that it is over, and no byte that the peer did not encrypt is read.
// Certificates and keys are made from scratch once a run; BoringSSL's own numbers are fixed by its
// fuzzer mode only, which would turn verification off, so runs differ in them.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tests/support/test_ca.h"
#include "tests/support/tls_peer.h"

using namespace pillion;
using pillion::testing::FakeTransport;
using pillion::testing::TestCa;
using pillion::testing::TlsPair;
using pillion::testing::TlsPeer;

namespace {

void require(bool what) {
  if (!what) std::abort();
}

std::shared_ptr<const tls::Context> make_context(tls::Role role) {
  static const TestCa ca;
  tls::ContextConfig config;
  config.role = role;
  config.min_version = tls::Version::kTls12;
  config.certificates = {ca.certificate("spiffe://mesh.local/a", "a.mesh.local"),
                         ca.certificate("spiffe://mesh.local/b", "b.mesh.local")};
  config.validation = ca.validation();
  config.require_client_certificate = role == tls::Role::kServer;
  config.alpn = {"h2", "http/1.1"};
  return tls::Context::make(config).value();
}

void turn(io::Loop& loop) {
  for (int i = 0; i < 6; ++i) loop.run_once(false);
}

void feed(io::Loop& loop, FakeTransport& end, std::string_view bytes, unsigned how) {
  end.max_read = size_t{1} << (how >> 4);
  end.inject(bytes);
  if ((how & 4) != 0) end.inject_fin();
  if ((how & 8) != 0) end.inject_reset();
  // One-byte reads need a turn each; long inputs with them teach nothing more.
  for (size_t i = 0; i <= bytes.size() / end.max_read && i < 4096; ++i) loop.run_once(false);
  turn(loop);
}

void check(const TlsPeer& peer, bool was_open) {
  require(peer.closed <= 1);
  require(peer.received.empty());
  require(peer.connected == (was_open ? 1 : 0));
  if (peer.closed != 0) require(!peer.reason.empty() && peer.failure.kind != FailureKind::kNone);
}

// Alone with the bytes, from the first one on.
void run_fresh(io::Loop& loop, const std::shared_ptr<const tls::Context>& context,
               std::string_view bytes, unsigned how) {
  auto ends = FakeTransport::make_pair(loop);
  std::unique_ptr<FakeTransport> own = std::move((how & 1) != 0 ? ends.first : ends.second);
  FakeTransport& end = *own;
  TlsPeer peer(loop, std::move(own), context, {.sni = "a.mesh.local"});
  peer.start();
  feed(loop, end, bytes, how);
  check(peer, false);
}

// Behind a whole handshake of two honest sides.
void run_open(io::Loop& loop, const std::shared_ptr<const tls::Context>& client,
              const std::shared_ptr<const tls::Context>& server, std::string_view bytes,
              unsigned how) {
  TlsPair pair(loop, client, server);
  require(pair.shake_hands(loop) && pair.client.connected == 1 && pair.server.connected == 1);
  TlsPeer& victim = (how & 1) != 0 ? pair.client : pair.server;
  feed(loop, (how & 1) != 0 ? *pair.client_end : *pair.server_end, bytes, how);
  check(victim, true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto server = make_context(tls::Role::kServer);
  static const auto client = make_context(tls::Role::kClient);
  static io::Loop loop;
  if (size < 1 || size > 32 * 1024) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const unsigned how = data[0];
  if ((how & 2) != 0) {
    run_open(loop, client, server, bytes, how);
  } else {
    run_fresh(loop, (how & 1) != 0 ? client : server, bytes, how);
  }
  turn(loop);
  return 0;
}
