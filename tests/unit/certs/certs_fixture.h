#pragma once
// A SecretStore with Providers on a loop of the test, an upstream that the test plays, and
// certificates.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "certs/providers.h"
#include "tests/support/fake_cluster_client.h"
#include "tests/support/run_until.h"
#include "tests/support/test_ca.h"

namespace pillion::certs {

class CertsTest : public ::testing::Test, public tls::SecretStoreObserver, public ProviderHost {
 protected:
  CertsTest() { store_.set_fetcher(providers_); }
  ~CertsTest() override {
    for (const tls::SecretName& name : wanted_) store_.unwant(name);
    providers_.stop();
  }
  void on_secrets_settled() override {}
  void on_context_changed(const tls::ContextSlot&) override {}
  upstream::ClusterClient& cluster_client() override { return clusters_; }
  [[nodiscard]] std::string_view encoded_node() const override { return "\x0a\x02me"; }

  void want(const tls::SecretRef& ref) {
    store_.want(ref);
    wanted_.push_back(ref.key());
  }
  // Of the certificate in force; "" without one.
  [[nodiscard]] std::string chain_of(const tls::SecretRef& ref) const {
    const tls::SecretPtr secret = store_.secret(ref.key());
    return secret == nullptr ? "" : std::get<tls::CertificateConfig>(secret->value).chain_pem;
  }
  [[nodiscard]] std::string failure_of(const tls::SecretRef& ref) const {
    const tls::SecretStore::Entry* entry = store_.find(ref.key());
    return entry == nullptr ? "not wanted" : entry->failure;
  }

  io::Loop loop_;
  Rng rng_{1};
  stats::Registry registry_;
  testing::FakeClusterClient clusters_;
  tls::SecretStore store_{loop_, *this};
  Providers providers_{{loop_, rng_, registry_, store_, *this}};
  const testing::TestCa ca_;
  std::vector<tls::SecretName> wanted_;
};

}  // namespace pillion::certs
