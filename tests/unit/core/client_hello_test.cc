#include "proxy/core/client_hello.h"

#include <gtest/gtest.h>

#include "proxy/base/str.h"
#include "tests/support/test_ca.h"
#include "tests/support/tls_peer.h"

namespace pillion::core {
namespace {

using pillion::testing::FakeTransport;
using pillion::testing::TlsPeer;

// What our own client sends first, for `sni` and these protocols.
std::string hello_of(const std::string& sni, const std::vector<std::string>& alpn,
                     const std::vector<std::string>& groups = {}) {
  io::Loop loop;
  tls::ContextConfig config;
  config.role = tls::Role::kClient;
  config.sni = sni;
  config.alpn = alpn;
  config.groups = groups;
  auto [client_end, server_end] = FakeTransport::make_pair(loop);
  TlsPeer client(loop, std::move(client_end), tls::Context::make(config).value());
  client.start();
  for (int i = 0; i < 5; ++i) loop.run_once(false);
  return server_end->unread();
}

struct Seen {
  Sniff verdict;
  std::string server_name;
  std::vector<std::string> alpn;
};
Seen sniff(std::string_view bytes) {
  std::vector<char> scratch;
  ClientHello hello;
  Seen seen{sniff_tls(bytes, scratch, hello), {}, {}};
  seen.server_name = hello.server_name;
  for (const std::string_view name : hello.alpn) seen.alpn.emplace_back(name);
  return seen;
}

// The same handshake message in records of `size` bytes.
std::string in_records_of(const std::string& hello, size_t size) {
  const std::string_view body = std::string_view(hello).substr(5);
  std::string out;
  for (size_t at = 0; at < body.size(); at += size) {
    const std::string_view piece = body.substr(at, size);
    out += {hello[0], hello[1], hello[2], static_cast<char>(piece.size() >> 8),
            static_cast<char>(piece.size() & 255)};
    out += piece;
  }
  return out;
}

TEST(ClientHello, OfAPostQuantumClientIsLargeButNotLarger) {
  const std::string hello = hello_of("users.shop", {"h2"});
  EXPECT_GT(hello.size(), 1300u);
  EXPECT_LT(hello.size(), 1800u) << "the first hybrid and one classical key share, no more";
  EXPECT_LT(hello_of("users.shop", {"h2"}, {"X25519"}).size(), 400u) << "tls: { groups }";
}

TEST(ClientHello, IsReadInPiecesOfAnySize) {
  const std::string hello = hello_of("users.shop", {"h2", "http/1.1"});
  for (size_t n = 0; n < hello.size(); ++n) {
    ASSERT_EQ(sniff(hello.substr(0, n)).verdict, Sniff::kNeedMore) << n << " bytes";
  }
  for (const std::string& tail : {std::string(), std::string("\x16\x03\x01", 3)}) {
    const Seen seen = sniff(hello + tail);
    EXPECT_EQ(seen.verdict, Sniff::kTls);
    EXPECT_EQ(seen.server_name, "users.shop");
    EXPECT_EQ(seen.alpn, (std::vector<std::string>{"h2", "http/1.1"}));
  }
}

// CVE-2020-8660: a hello in several records must not look like something else.
TEST(ClientHello, IsReadAcrossRecords) {
  const std::string hello = hello_of("users.shop", {"h2"});
  for (const size_t size : {1u, 3u, 4u, 5u, 100u, 1000u, 1400u}) {
    const std::string records = in_records_of(hello, size);
    for (size_t n = 0; n < records.size(); n += 7) {
      ASSERT_EQ(sniff(std::string_view(records).substr(0, n)).verdict, Sniff::kNeedMore) << n;
    }
    const Seen seen = sniff(records);
    EXPECT_EQ(seen.verdict, Sniff::kTls) << size;
    EXPECT_EQ(seen.server_name, "users.shop");
    EXPECT_EQ(seen.alpn, (std::vector<std::string>{"h2"}));
  }
}

TEST(ClientHello, WhatIsNoneIsToldApartAtTheFirstByteThatDiffers) {
  const std::string hello = hello_of("users.shop", {});
  EXPECT_EQ(sniff("G").verdict, Sniff::kOther);
  EXPECT_EQ(sniff("\x17").verdict, Sniff::kOther);
  EXPECT_EQ(sniff("\x16\x02").verdict, Sniff::kOther);
  std::string server_hello = hello;
  server_hello[5] = 2;
  EXPECT_EQ(sniff(server_hello.substr(0, 6)).verdict, Sniff::kOther);
  std::string empty_record = str(hello.substr(0, 3), std::string_view("\0\0", 2));
  EXPECT_EQ(sniff(empty_record).verdict, Sniff::kOther);
}

TEST(ClientHello, IsNotWaitedForBeyondItsLimit) {
  const std::string_view header("\x16\x03\x01\x40\x00\x01\x00\xff\xff", 9);
  EXPECT_EQ(sniff(header).verdict, Sniff::kOther) << "it says that it has 64 KiB";
}

}  // namespace
}  // namespace pillion::core
