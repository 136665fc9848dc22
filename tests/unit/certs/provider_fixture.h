#pragma once
// A SecretStore with one provider behind it, whose upstream the test plays.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "certs/provider.h"
#include "tests/support/fake_cluster_client.h"
#include "tests/support/run_until.h"

namespace pillion::certs {

class ProviderTest : public ::testing::Test,
                     public ProviderHost,
                     public tls::SecretFetcher,
                     public tls::SecretStoreObserver {
 protected:
  ProviderTest() {
    store.set_fetcher(*this);
    auto from = std::make_shared<tls::SecretSource>();
    from->key = "test";
    source = from;
  }
  void TearDown() override {
    if (provider != nullptr) provider->stop();
    for (const auto& call : clusters.calls) EXPECT_FALSE(call->is_open);
  }

  upstream::ClusterClient& cluster_client() override { return clusters; }
  std::string_view encoded_node() const override { return {}; }
  void on_wanted(const tls::SecretRef& ref) override { provider->want(ref); }
  void on_unwanted(const tls::SecretName& name) override { provider->unwant(name); }
  void on_secrets_settled() override {}
  void on_context_changed(const tls::ContextSlot&) override {}

  ProviderContext context() { return {loop, rng, registry, store, *this}; }
  static tls::SecretName name_of(tls::SecretKind kind, std::string_view name) {
    return {"test", kind, std::string(name)};
  }
  void want(tls::SecretKind kind, std::string_view name) {
    tls::SecretRef ref;
    ref.source = source;
    ref.kind = kind;
    ref.name = name;
    store.want(ref);
  }
  // What is in force, or why not.
  const tls::SecretStore::Entry& entry(tls::SecretKind kind, std::string_view name) {
    return *store.find(name_of(kind, name));
  }
  template <typename T>
  const T* value(tls::SecretKind kind, std::string_view name) {
    const tls::SecretPtr& secret = entry(kind, name).secret;
    return secret == nullptr ? nullptr : std::get_if<T>(&secret->value);
  }
  // Until there were so many calls, however long that takes.
  ::testing::AssertionResult calls_reach(size_t count) {
    for (int i = 0; i < 200 && clusters.calls.size() < count; ++i)
      loop.skip(std::chrono::seconds(1));
    if (clusters.calls.size() == count) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << clusters.calls.size() << " calls";
  }
  using FakeCall = ::pillion::testing::FakeClusterClient::Call;
  FakeCall& upstream() { return clusters.last(); }

  io::Loop loop;
  Rng rng{1};
  stats::Registry registry;
  ::pillion::testing::FakeClusterClient clusters;
  tls::SecretStore store{loop, *this};
  tls::SecretSourcePtr source;
  std::unique_ptr<Provider> provider;
};

}  // namespace pillion::certs
