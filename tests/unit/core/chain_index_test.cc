// The index of many filter chains against the steps one by one.
#include "proxy/core/chain_index.h"

#include <gtest/gtest.h>

#include "proxy/base/rng.h"
#include "proxy/base/str.h"
#include "proxy/core/chain_heirs.h"
#include "proxy/core/chain_matcher.h"

namespace pillion::core {
namespace {

template <typename T>
const T& any_of(Rng& rng, const std::vector<T>& list) {
  return list[rng.below(list.size())];
}

const std::vector<std::string> kPatterns = {"a.b.c", "*.b.c", "*.c", "b.c", "*.a.b.c", "d", "*.d"};
const std::vector<std::string> kNames = {"",        "a.b.c", "b.c", "x.b.c", "y.x.b.c", "c",
                                         "x.a.b.c", "d",     "q.d", ".d",    "z"};

std::shared_ptr<const FilterChain> random_chain(Rng& rng, int number) {
  auto chain = std::make_shared<FilterChain>();
  chain->name = str("chain-", number);
  chain->connection_hash = rng.below(4);
  FilterChainMatch& match = chain->match;
  match.destination_port = any_of(rng, std::vector<uint16_t>{0, 0, 80, 443, 9080});
  while (rng.below(3) != 0) match.server_names.push_back(any_of(rng, kPatterns));
  if (rng.below(4) == 0) match.transport_protocol = rng.below(2) == 0 ? "tls" : "raw_buffer";
  if (rng.below(4) == 0) match.application_protocols = {"h2"};
  if (rng.below(12) == 0) match.destination.push_back(*match::Cidr::parse("10.0.0.0/8"));
  return chain;
}

TEST(ChainIndex, ChoosesWhatTheStepsOneByOneChoose) {
  Rng rng(3);
  for (int round = 0; round < 300; ++round) {
    ListenerConfig plain;
    const uint64_t count = 1 + rng.below(40);
    for (uint64_t i = 0; i < count; ++i)
      plain.chains.push_back(random_chain(rng, static_cast<int>(i)));
    ListenerConfig indexed = plain;
    indexed.chain_index = std::make_shared<const ChainIndex>(indexed.chains);
    indexed.tls_inspector = plain.tls_inspector = true;
    EXPECT_EQ(needs_sniffing(plain, 80), needs_sniffing(indexed, 80));
    for (int probe = 0; probe < 40; ++probe) {
      ConnectionInfo connection;
      connection.remote = io::Address::ipv4(0x7f000001, 5000);
      const uint16_t port = any_of(rng, std::vector<uint16_t>{80, 443, 9080, 1});
      connection.local = io::Address::ipv4(rng.below(2) == 0 ? 0x0a000001 : 0x0b000001, port);
      Sniffed sniffed;
      sniffed.is_tls = rng.below(2) == 0;
      sniffed.server_name = any_of(rng, kNames);
      if (rng.below(2) == 0) sniffed.alpn = {"h2"};
      const auto* a = match_chain(plain, connection, sniffed);
      const auto* b = match_chain(indexed, connection, sniffed);
      ASSERT_EQ(a == nullptr, b == nullptr) << sniffed.server_name << ' ' << port;
      if (a != nullptr) {
        EXPECT_EQ((*a)->name, (*b)->name) << sniffed.server_name << ' ' << port;
      }
    }
  }
}

TEST(ChainIndex, ManyChainsFindTheirHeirsAsFewDo) {
  Rng rng(5);
  ListenerConfig few;
  ListenerConfig many;
  for (int i = 0; i < 4; ++i) few.chains.push_back(random_chain(rng, i));
  many.chains = few.chains;
  for (int i = 4; i < 100; ++i) many.chains.push_back(random_chain(rng, i));
  const ChainHeirs of_few(few);
  const ChainHeirs of_many(many);
  for (const auto& chain : few.chains) {
    EXPECT_EQ(*of_few.of(*chain), chain);
    EXPECT_EQ(*of_many.of(*chain), chain);
    FilterChain other = *chain;
    other.connection_hash ^= 8;
    EXPECT_EQ(of_few.of(other), nullptr);
    EXPECT_EQ(of_many.of(other), nullptr);
  }
}

}  // namespace
}  // namespace pillion::core
