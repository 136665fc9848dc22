#pragma once
// ContextSlot: what a filter chain or a cluster holds of TLS: a Context that changes when its
// certificates do, while everything that names it stays the same.
//
// Made by the parsers, on any thread; shared by configurations, for equal ones are one object.  So
// its address stands for it in the hashes that tell whether a listener or a pool has changed: a
// rotation drains nothing.  Workers call current() once per handshake; a connection keeps the
// Context that it began with.  The SecretStore, on control, puts the next one in.
//
// A server's keys for session tickets, if none are given, are the slot's: its Contexts make and
// open them one after the other, on all workers.
//
// Null from current(): a secret has not arrived, or is not to be used any more.  A handshake is
// refused then, and no connection made; nobody is let through.

#include <memory>
#include <mutex>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/tls/context.h"
#include "proxy/tls/secret.h"

namespace pillion::tls {

class ContextSlot {
 public:
  // With secrets that were all found when the configuration was read the Context is made at once,
  // and what is wrong with it is an error.
  static Result<std::shared_ptr<const ContextSlot>> make(ContextConfig config, SecretRefs secrets);
  // Always this one.
  static std::shared_ptr<const ContextSlot> fixed(std::shared_ptr<const Context> context);

  ContextSlot(const ContextSlot&) = delete;
  ContextSlot& operator=(const ContextSlot&) = delete;

  // Any thread.  Takes a lock: once per connection, never per request.
  [[nodiscard]] std::shared_ptr<const Context> current() const;
  [[nodiscard]] Role role() const noexcept { return config_.role; }
  // Without what the secrets bring.
  [[nodiscard]] const ContextConfig& config() const noexcept { return config_; }
  [[nodiscard]] const SecretRefs& secrets() const noexcept { return secrets_; }
  [[nodiscard]] bool is_fixed() const noexcept { return secrets_.empty(); }

  // ---- SecretStore, on control ----

  // May it be one of the certificates?  An error has no contents.
  [[nodiscard]] Status<> accepts(const CertificateConfig& certificate) const;

  // Finds a secret, or null.
  class Lookup {
   public:
    [[nodiscard]] virtual SecretPtr find(const SecretRef& ref) const = 0;

   protected:
    ~Lookup() = default;
  };
  // The Context of the secrets that there are now: null if one is missing.
  Result<std::shared_ptr<const Context>> resolve(const Lookup& lookup) const;
  // Is one of its secrets good, whatever the others are?  An error has no contents.
  [[nodiscard]] Status<> check(const Secret& secret) const;
  // Takes effect with the next handshake; returns the one before.
  std::shared_ptr<const Context> set(std::shared_ptr<const Context> context) const;

 private:
  ContextSlot(ContextConfig config, SecretRefs secrets);

  [[nodiscard]] Result<ValidationConfig> merged_with(const ValidationConfig& validation) const;

  const ContextConfig config_;
  const SecretRefs secrets_;
  const std::shared_ptr<const TicketKeyring> own_tickets_;  // null: needs none, or has others
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Context> current_;
};

}  // namespace pillion::tls
