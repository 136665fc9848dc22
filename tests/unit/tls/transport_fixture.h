#pragma once
// A mesh of two: one CA, a client and a server with SPIFFE identities, counters of both sides.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "proxy/stats/blocks.h"
#include "tests/support/test_ca.h"
#include "tests/support/tls_peer.h"

namespace pillion::tls {

using pillion::testing::run_until;
using pillion::testing::TestCa;
using pillion::testing::TlsPair;
using pillion::testing::TlsPeer;
using ::testing::HasSubstr;

inline constexpr const char* kCustomer = "spiffe://mesh.local/ns/shop/sa/customer";
inline constexpr const char* kUsers = "spiffe://mesh.local/ns/shop/sa/users";

inline const TestCa& mesh_ca() {
  static const TestCa ca("Mesh CA");
  return ca;
}
inline const TestCa& other_ca() {
  static const TestCa ca("Other CA");
  return ca;
}

inline ContextConfig server_config() {
  static const CertificateConfig users = mesh_ca().certificate(kUsers, "users.shop");
  ContextConfig c;
  c.role = Role::kServer;
  c.certificates = {users};
  c.validation = mesh_ca().validation();
  c.require_client_certificate = true;
  return c;
}
inline ContextConfig client_config() {
  static const CertificateConfig customer = mesh_ca().certificate(kCustomer);
  ContextConfig c;
  c.role = Role::kClient;
  c.certificates = {customer};
  c.validation = mesh_ca().validation();
  return c;
}
inline std::shared_ptr<const Context> context(const ContextConfig& config) {
  auto made = Context::make(config);
  EXPECT_TRUE(made) << made.error();
  return *made;
}

inline std::string pattern(size_t size) {
  std::string text(size, '\0');
  uint32_t x = 12345;
  for (char& c : text) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return text;
}

class TransportTest : public ::testing::Test {
 protected:
  // Each test gets its own loop; whatever a test leaves is closed before the loop ends.
  void make(const ContextConfig& client = client_config(),
            const ContextConfig& server = server_config(),
            TlsTransport::Options client_options = {}) {
    client_options.cluster_stats = &cluster_stats;
    pair = std::make_unique<TlsPair>(loop, context(client), context(server), client_options,
                                     TlsTransport::Options{.listener_stats = &listener_stats});
  }
  void connect(const ContextConfig& client = client_config(),
               const ContextConfig& server = server_config(),
               const TlsTransport::Options& client_options = {}) {
    make(client, server, client_options);
    ASSERT_TRUE(pair->shake_hands(loop));
    ASSERT_EQ(pair->client.connected, 1) << pair->client.reason;
    ASSERT_EQ(pair->server.connected, 1) << pair->server.reason;
  }
  // More turns than anything here takes: what has not happened then does not happen.
  void settle() {
    for (int i = 0; i < 500; ++i) loop.run_once(false);
  }
  template <typename Condition>
  ::testing::AssertionResult until(Condition&& condition) {
    if (run_until(loop, condition)) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure()
           << "client: " << client().received.size() << " bytes, " << client().reason
           << "; server: " << server().received.size() << " bytes, " << server().reason;
  }
  TlsPeer& client() { return pair->client; }
  TlsPeer& server() { return pair->server; }

  io::Loop loop;
  stats::ListenerTlsStats listener_stats;
  stats::ClusterTlsStats cluster_stats;
  std::unique_ptr<TlsPair> pair;
};

}  // namespace pillion::tls
