#pragma once
// TicketKeyring: the keys that session tickets are sealed with (RFC 5077; RFC 8446, 4.6.1).
//
// Shared by the Contexts of one ContextSlot, one after the other, and so by all workers; lives as
// long as any of them.  Any thread; takes a lock for a moment, once for each ticket made or read.
//
// Own keys are random, never leave the process and change every hour: the newest one seals, those
// before it open until every ticket that they sealed has expired.  Given keys
// (DownstreamTlsContext.session_ticket_keys) never change in one keyring, another list is another
// keyring: the first one seals, all open.  Keys are overwritten when they are dropped.
//
// A ticket is: name of the key (16 bytes), nonce (24), the session sealed by XChaCha20-Poly1305.
// Nonces are random; with 24 bytes they do not repeat however many proxies share a key.

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"

namespace pillion::tls {

struct TicketKeys;  // secret.h

class TicketKeyring {
 public:
  static constexpr size_t kNameBytes = 16;
  static constexpr size_t kTextOffset = kNameBytes + 24;  // where the text lies in a ticket
  static constexpr size_t kOverhead = kTextOffset + 16;   // what a ticket is longer than its text
  static constexpr Duration kRotation = std::chrono::hours(1);

  // Own keys; `lifetime`: of the tickets.
  static std::shared_ptr<const TicketKeyring> own(Duration lifetime);
  // Envoy's: each has 16 bytes of name and 64 of secrets.  At least one.
  static std::shared_ptr<const TicketKeyring> given(const TicketKeys& keys);
  TicketKeyring(const TicketKeyring&) = delete;
  TicketKeyring& operator=(const TicketKeyring&) = delete;

  // Seals in place the text that lies at kTextOffset and ends kOverhead - kTextOffset before the
  // end; it can be opened only with the same `bound_to`.  False if the library fails.
  bool seal(std::span<uint8_t> ticket, std::string_view bound_to, Instant now) const;
  // The size of the text that was written to `to`, which has room for the size of the ticket.  Null
  // if none of the keys made it as it is.
  std::optional<size_t> open(std::span<const uint8_t> ticket, std::string_view bound_to,
                             Instant now, uint8_t* to) const;

  // Tells keyrings apart; equal for equal given keys.  Not for printing.
  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  // Other proxies may have these keys, too.
  [[nodiscard]] bool is_given() const noexcept { return !rotates_; }
  // How many keys there are (tests).
  [[nodiscard]] size_t size() const;

 private:
  struct Key {
    std::array<uint8_t, kNameBytes> name{};
    std::array<uint8_t, 32> secret{};
    Instant made{};
    Key() = default;
    Key(const Key&) = default;
    Key& operator=(const Key&) = default;
    ~Key();
  };
  explicit TicketKeyring(Duration lifetime, bool rotates)
      : lifetime_(lifetime), rotates_(rotates) {}
  void rotate(Instant now) const;
  [[nodiscard]] Key newest(Instant now) const;
  [[nodiscard]] std::optional<Key> named(std::span<const uint8_t> name, Instant now) const;

  const Duration lifetime_;
  const bool rotates_;
  std::string id_;
  mutable std::mutex mutex_;
  mutable std::vector<Key> keys_;  // newest first
};

}  // namespace pillion::tls
