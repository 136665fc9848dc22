#pragma once
// SecretStore: the secrets in force, on control.  Sources write it, ContextSlots follow it.
//
// Owned by the Server; outlives every configuration, so that a reload never loses a secret.  Lives
// on the control loop alone: workers see what it does through their ContextSlots.
//
//   store.attach(slots of a configuration)   ->  fetcher.on_wanted(ref), for what nobody wanted yet
//   source: store.put(name, update) | store.fail(name, reason) | store.remove(name), at any time
//        ->  the slots that name it get new Contexts, some in each turn
//   a slot is gone, with the configurations that had it:  prune()  ->  fetcher.on_unwanted(name)
//
// Rules: what is there stays until something better comes (fail() changes nothing in force); of a
// secret that cannot be used no slot's Context is made, and put() says why; one that is good itself
// is taken also while another one that the Context needs is bad or not there; remove() alone takes
// one away, and handshakes that need it are refused then.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/token_bucket.h"
#include "proxy/io/loop.h"
#include "proxy/tls/context_slot.h"
#include "proxy/tls/secret.h"
#include "proxy/tls/settled_secrets.h"

namespace pillion::tls {

// Who fetches secrets: certs/.  Outlives the store's use of it.
class SecretFetcher {
 public:
  // Somebody wants it, and nobody did before.  May put() it at once.
  virtual void on_wanted(const SecretRef& ref) = 0;
  // Nobody wants it any more.
  virtual void on_unwanted(const SecretName& name) = 0;

 protected:
  ~SecretFetcher() = default;
};

class SecretStoreObserver {
 public:
  // A secret has settled, or one that was missing has come or is not needed any more; what can be
  // made of it is made.  Not inside another call.
  virtual void on_secrets_settled() = 0;
  // A slot has another Context because a secret has changed.
  virtual void on_context_changed(const ContextSlot& slot) = 0;

 protected:
  ~SecretStoreObserver() = default;
};

class SecretStore final : private io::ReadyTask, private ContextSlot::Lookup {
 public:
  // What a source says.
  struct Update {
    SecretPtr secret;     // never null, of the kind that was wanted
    std::string version;  // of SDS; else empty
  };
  struct Entry {
    SecretRef ref;
    SecretPtr secret;  // in force; null: there is none
    std::string version;
    WallTime updated{};   // when it was put
    std::string failure;  // why the last attempt failed; empty: it did not
    WallTime failed{};
    Instant give_up_at{};  // a new configuration waits so long for it
    bool is_settled = false;
    uint32_t users = 0;            // want() less unwant()
    uint32_t slots = 0;            // that name it
    uint64_t rejected = 0;         // put() of it that were refused
    bool is_failure_told = false;  // in the log
    TokenBucket failure_lines{10, 1, std::chrono::seconds(10)};
  };

  // Both outlive the store.
  SecretStore(io::Loop& loop, SecretStoreObserver& observer);
  ~SecretStore();
  SecretStore(const SecretStore&) = delete;
  SecretStore& operator=(const SecretStore&) = delete;
  // Once, before the first attach() or want().
  void set_fetcher(SecretFetcher& fetcher) noexcept { fetcher_ = &fetcher; }

  // ---- who needs secrets ----

  // These slots follow the store from now on, for as long as they live.  Those already known, and
  // those of fixed contents, are skipped.
  void attach(const std::vector<std::shared_ptr<const ContextSlot>>& slots);
  // For a need without a slot (a generic secret); counted.
  void want(const SecretRef& ref);
  void unwant(const SecretName& name);
  // Forgets slots that are gone, and Contexts that no connection has any more; cheap.
  void prune();
  // Every secret that is wanted is in force, or is not waited for any more.
  [[nodiscard]] bool all_settled() const noexcept { return unsettled_ == 0 && due_.empty(); }
  // Which are.
  [[nodiscard]] const SettledSecrets& settled() const noexcept { return settled_; }
  // Secrets have changed whose Contexts are still to be made; on_secrets_settled() follows in one
  // of the next turns.
  [[nodiscard]] bool is_making_contexts() const noexcept { return !due_.empty(); }

  // ---- sources ----

  // A secret, new or the same again (which only tells that all is well).  An error is a sentence
  // without contents: it is of another kind than what is wanted, a slot that needs it does not
  // accept it, or the first Context that needs it cannot be made; what is in force stays, and the
  // caller says fail().  Nothing happens if nobody wants it.  Logged once per change of contents,
  // however many slots have it.
  Status<> put(const SecretName& name, Update update);
  // It could not be had, or what came cannot be used.  `reason` holds no contents.  What is in
  // force stays.  Logged once per change of the reason; of a source that comes and goes all the
  // time not each of them.
  void fail(const SecretName& name, std::string_view reason);
  // New configurations need not wait for it any longer, be it there or not.
  void give_up(const SecretName& name);
  // It must not be used any more.
  void remove(const SecretName& name);

  // ---- readers ----

  [[nodiscard]] const Entry* find(const SecretName& name) const;
  // One that the process is not ready without (SecretRef::timeout 0) has not come.
  [[nodiscard]] bool lacks_essential() const;
  [[nodiscard]] SecretPtr secret(const SecretName& name) const;
  [[nodiscard]] const std::map<SecretName, Entry>& entries() const noexcept { return entries_; }

 private:
  using UsersOf = std::multimap<SecretName, const ContextSlot*>;
  struct User {
    std::weak_ptr<const ContextSlot> slot;
    std::vector<UsersOf::iterator> needs;
    bool is_due = false;  // a secret of it has changed
  };

  void run_ready() override;
  [[nodiscard]] SecretPtr find(const SecretRef& ref) const override { return secret(ref.key()); }

  void attach_one(const std::shared_ptr<const ContextSlot>& slot);
  void detach(const ContextSlot* slot, const User& user);
  // True if nobody needed it before; the fetcher is told by the caller then.
  bool add_need(const SecretRef& ref, uint32_t Entry::* count);
  void drop_need(const SecretName& name, uint32_t Entry::* count);
  void settle(Entry& entry);
  void mark_due(const ContextSlot* slot, User& user);
  void mark_users_due(const SecretName& name);
  void tell_soon();
  Status<> refresh(User& user);
  Status<> refresh_first(const SecretName& name, const Secret& secret);
  [[nodiscard]] Status<> check_users(const SecretName& name, const Secret& secret) const;
  static void log_taken(const SecretName& name, const Entry& entry);
  void on_timeout();
  void arm_timeout();

  io::Loop& loop_;
  SecretStoreObserver& observer_;
  SecretFetcher* fetcher_ = nullptr;
  std::map<SecretName, Entry> entries_;
  std::map<const ContextSlot*, User> users_;
  UsersOf users_of_;
  std::vector<const ContextSlot*> due_;
  // Superseded, until their last connection is gone: they die here, not on a worker.
  std::unordered_set<std::shared_ptr<const Context>> retired_;
  SettledSecrets settled_;
  size_t unsettled_ = 0;
  bool must_tell_ = false;  // on_secrets_settled() is due when all Contexts are made
  log::Limit unmade_limit_{std::chrono::seconds(10)};
  io::Timer prune_timer_ = io::Timer::of<&SecretStore::prune>(this);
  io::Timer timeout_timer_ = io::Timer::of<&SecretStore::on_timeout>(this);
};

}  // namespace pillion::tls
