#pragma once
// CertsTest with one source of our own, whose upstream the test plays.

#include <memory>
#include <string>
#include <utility>

#include "proxy/base/str.h"
#include "tests/unit/certs/certs_fixture.h"

namespace pillion::certs {

class ProviderTest : public CertsTest {
 protected:
  using FakeCall = ::pillion::testing::FakeClusterClient::Call;

  void TearDown() override {
    for (const tls::SecretName& name : std::exchange(wanted_, {})) store_.unwant(name);
    for (const auto& call : clusters_.calls) EXPECT_FALSE(call->is_open);
  }

  template <typename How>
  void set_source(How how) {
    auto made = std::make_shared<tls::SecretSource>();
    made->key = "test";
    made->how = std::move(how);
    source_ = std::move(made);
  }
  static tls::SecretName name_of(tls::SecretKind kind, std::string_view name) {
    return {"test", kind, std::string(name)};
  }
  void want(tls::SecretKind kind, std::string_view name) {
    tls::SecretRef ref;
    ref.source = source_;
    ref.kind = kind;
    ref.name = name;
    CertsTest::want(ref);
  }
  void unwant(tls::SecretKind kind, std::string_view name) {
    std::erase(wanted_, name_of(kind, name));
    store_.unwant(name_of(kind, name));
  }
  // What is in force, and why there is nothing better.
  const tls::SecretStore::Entry& entry(tls::SecretKind kind, std::string_view name) {
    return *store_.find(name_of(kind, name));
  }
  // Null without one, or of another kind.
  template <typename T>
  const T* value(tls::SecretKind kind, std::string_view name) {
    const tls::SecretPtr& secret = entry(kind, name).secret;
    return secret == nullptr ? nullptr : std::get_if<T>(&secret->value);
  }
  // However long that takes.
  ::testing::AssertionResult calls_reach(size_t count) {
    for (int i = 0; i < 200 && clusters_.calls.size() < count; ++i)
      loop_.skip(std::chrono::seconds(1));
    if (clusters_.calls.size() == count) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << clusters_.calls.size() << " calls";
  }
  FakeCall& upstream() { return clusters_.last(); }

 private:
  tls::SecretSourcePtr source_;
};

}  // namespace pillion::certs
