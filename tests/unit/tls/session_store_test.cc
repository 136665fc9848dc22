#include "proxy/tls/session_store.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <string>
#include <vector>

namespace pillion::tls {
namespace {

const io::Address kHost = *io::Address::parse_ip("10.0.0.1", 443);

class SessionStoreTest : public ::testing::Test {
 protected:
  SessionStoreTest() : ctx_(SSL_CTX_new(TLS_method())) {}
  SessionPtr session(size_t ticket_size = 100) {
    SessionPtr made(SSL_SESSION_new(ctx_.get()));
    const std::vector<uint8_t> ticket(ticket_size);
    SSL_SESSION_set_ticket(made.get(), ticket.data(), ticket.size());
    return made;
  }
  bssl::UniquePtr<SSL_CTX> ctx_;
};

TEST_F(SessionStoreTest, GivesEachSessionOnceTheNewestFirst) {
  SessionStore store(2);
  const auto key = SessionStore::key_of(kHost, "a", "");
  SessionPtr one = session(), two = session(), three = session();
  const auto *second = two.get(), *third = three.get();
  store.put(key, std::move(one));
  store.put(key, std::move(two));
  store.put(key, std::move(three));
  EXPECT_EQ(store.size(), 2u) << "no more than max_session_keys";
  EXPECT_EQ(store.take(key).get(), third);
  EXPECT_EQ(store.take(key).get(), second);
  EXPECT_EQ(store.take(key), nullptr);
}

TEST_F(SessionStoreTest, ASessionIsOnlyForItsServerAndNames) {
  const io::Address other_host = *io::Address::parse_ip("10.0.0.2", 443);
  const io::Address other_port = *io::Address::parse_ip("10.0.0.1", 444);
  SessionStore store(1);
  const auto key = SessionStore::key_of(kHost, "a", "b");
  store.put(key, session());
  for (const auto& other :
       {SessionStore::key_of(kHost, "c", "b"), SessionStore::key_of(kHost, "a", "c"),
        SessionStore::key_of(kHost, "a", ""), SessionStore::key_of(kHost, "", "a"),
        SessionStore::key_of(kHost, "ab", ""), SessionStore::key_of(other_host, "a", "b"),
        SessionStore::key_of(other_port, "a", "b"), SessionStore::key_of({}, "a", "b")}) {
    EXPECT_EQ(store.take(other), nullptr);
  }
  EXPECT_NE(store.take(SessionStore::key_of(kHost, "a", "b")), nullptr);
}

TEST_F(SessionStoreTest, IsBoundedByDroppingTheOldest) {
  SessionStore store(1);
  const auto key = [](size_t i) { return SessionStore::key_of(kHost, std::to_string(i), ""); };
  for (size_t i = 0; i < SessionStore::kMost + 10; ++i) store.put(key(i), session());
  EXPECT_EQ(store.size(), SessionStore::kMost);
  EXPECT_EQ(store.take(key(9)), nullptr);
  EXPECT_NE(store.take(key(10)), nullptr);
  EXPECT_NE(store.take(key(SessionStore::kMost + 9)), nullptr);
}

TEST_F(SessionStoreTest, KeepsNoTicketThatIsTooLong) {
  SessionStore store(1);
  const auto key = SessionStore::key_of(kHost, "a", "");
  store.put(key, session(SessionStore::kMostTicketBytes + 1));
  EXPECT_EQ(store.size(), 0u);
  store.put(key, session(SessionStore::kMostTicketBytes));
  EXPECT_EQ(store.size(), 1u);
}

}  // namespace
}  // namespace pillion::tls
