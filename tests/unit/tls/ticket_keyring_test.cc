#include "proxy/tls/ticket_keyring.h"

#include <gtest/gtest.h>

#include <string>

#include "proxy/tls/secret.h"

namespace pillion::tls {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart{1000h};
constexpr auto kLifetime = 2h;

std::string seal(const TicketKeyring& keyring, const std::string& text, Instant now = kStart,
                 std::string_view name = "users.shop") {
  std::string ticket = std::string(TicketKeyring::kTextOffset, '\0') + text;
  ticket.resize(text.size() + TicketKeyring::kOverhead);
  EXPECT_TRUE(keyring.seal({reinterpret_cast<uint8_t*>(ticket.data()), ticket.size()}, name, now));
  return ticket;
}

// "" if it does not open.
std::string open(const TicketKeyring& keyring, const std::string& ticket, Instant now = kStart,
                 std::string_view name = "users.shop") {
  std::string text(ticket.size(), '\0');
  const auto size = keyring.open({reinterpret_cast<const uint8_t*>(ticket.data()), ticket.size()},
                                 name, now, reinterpret_cast<uint8_t*>(text.data()));
  return text.substr(0, size.value_or(0));
}

TicketKeys keys(const std::string& letters) {
  TicketKeys out;
  for (const char c : letters) out.keys.emplace_back().fill(static_cast<uint8_t>(c));
  return out;
}

TEST(TicketKeyring, OpensWhatItHasSealed) {
  const auto own = TicketKeyring::own(kLifetime);
  const std::string ticket = seal(*own, "a session");
  EXPECT_EQ(ticket.find("a session"), ticket.npos);
  EXPECT_EQ(open(*own, ticket), "a session");
  EXPECT_NE(seal(*own, "a session"), ticket) << "nonces do not repeat";
}

TEST(TicketKeyring, OpensNothingElse) {
  const auto own = TicketKeyring::own(kLifetime);
  const std::string ticket = seal(*own, "a session");
  for (size_t i = 0; i < ticket.size(); ++i) {
    std::string tampered = ticket;
    tampered[i] = static_cast<char>(tampered[i] ^ 1);
    EXPECT_EQ(open(*own, tampered), "") << "byte " << i;
  }
  for (size_t size = 0; size < ticket.size(); ++size) {
    EXPECT_EQ(open(*own, ticket.substr(0, size)), "") << size << " bytes";
  }
  EXPECT_EQ(open(*own, ticket + "x"), "");
  EXPECT_EQ(open(*own, ticket, kStart, "orders.shop"), "") << "made for another name";
  EXPECT_EQ(open(*own, ticket, kStart, ""), "");
  EXPECT_EQ(open(*TicketKeyring::own(kLifetime), ticket), "") << "another's keys";
}

TEST(TicketKeyring, KeysThatWereReplacedOpenUntilTheirLastTicketHasExpired) {
  const auto own = TicketKeyring::own(kLifetime);
  const std::string first = seal(*own, "first");
  const std::string last = seal(*own, "last", kStart + TicketKeyring::kRotation - 1ns);
  EXPECT_EQ(own->size(), 1u);
  const Instant later = kStart + TicketKeyring::kRotation;
  const std::string next = seal(*own, "next", later);
  EXPECT_EQ(own->size(), 2u);
  EXPECT_NE(first.substr(0, TicketKeyring::kNameBytes), next.substr(0, TicketKeyring::kNameBytes));
  EXPECT_EQ(open(*own, first, later), "first");
  EXPECT_EQ(open(*own, last, later + kLifetime - 1ns), "last");
  EXPECT_EQ(open(*own, last, later + kLifetime), "");
  EXPECT_EQ(open(*own, next, later + kLifetime), "next");
}

TEST(TicketKeyring, AKeyThatWasNotUsedForLongDoesNotLiveLonger) {
  const auto own = TicketKeyring::own(kLifetime);
  const std::string ticket = seal(*own, "a session");
  EXPECT_EQ(open(*own, ticket, kStart + TicketKeyring::kRotation + kLifetime), "");
  EXPECT_EQ(own->size(), 1u) << "the old key is gone, there is a new one";
}

TEST(TicketKeyring, TheNumberOfKeysIsBoundedByTheLifetimeOfTickets) {
  const auto own = TicketKeyring::own(kLifetime);
  for (int minute = 0; minute < 60 * 48; ++minute) {
    (void)seal(*own, "x", kStart + std::chrono::minutes(minute));
    EXPECT_LE(own->size(), 3u);
  }
}

TEST(TicketKeyring, OfGivenKeysTheFirstSealsAndAllOpen) {
  const auto before = TicketKeyring::given(keys("a"));
  const auto both = TicketKeyring::given(keys("ba"));
  const auto after = TicketKeyring::given(keys("b"));
  const std::string old_ticket = seal(*before, "old");
  EXPECT_EQ(open(*both, old_ticket), "old");
  EXPECT_EQ(open(*after, old_ticket), "");
  const std::string new_ticket = seal(*both, "new");
  EXPECT_EQ(open(*after, new_ticket), "new") << "another proxy with the same key";
  EXPECT_EQ(open(*before, new_ticket), "");
  EXPECT_EQ(open(*after, new_ticket, kStart + 10000h), "new")
      << "these do not change by themselves";
  EXPECT_EQ(both->size(), 2u);
}

TEST(TicketKeyring, AllOfAGivenKeyMatters) {
  const auto keyring = TicketKeyring::given(keys("a"));
  const std::string ticket = seal(*keyring, "a session");
  for (const size_t at : {0u, 15u, 16u, 47u, 48u, 79u}) {
    TicketKeys other = keys("a");
    other.keys[0][at] ^= 1;
    const auto changed = TicketKeyring::given(other);
    EXPECT_EQ(open(*changed, ticket), "") << "byte " << at;
    EXPECT_NE(changed->id(), keyring->id()) << "byte " << at;
  }
}

TEST(TicketKeyring, IdsTellKeyringsApart) {
  EXPECT_EQ(TicketKeyring::given(keys("ab"))->id(), TicketKeyring::given(keys("ab"))->id());
  EXPECT_NE(TicketKeyring::given(keys("ab"))->id(), TicketKeyring::given(keys("ba"))->id());
  EXPECT_NE(TicketKeyring::own(kLifetime)->id(), TicketKeyring::own(kLifetime)->id());
}

}  // namespace
}  // namespace pillion::tls
