#include "proxy/tls/secret_store.h"

#include <algorithm>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/base/log.h"
#include "proxy/base/slice.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "proxy/tls/x509_info.h"

namespace pillion::tls {
namespace {

// How often it is looked whether superseded Contexts may die; only while there are some.
constexpr Duration kPruneDelay = std::chrono::seconds(10);

}  // namespace

SecretStore::SecretStore(io::Loop& loop, SecretStoreObserver& observer)
    : loop_(loop), observer_(observer) {}
SecretStore::~SecretStore() = default;

// ---- who needs secrets ----

void SecretStore::attach(const std::vector<std::shared_ptr<const ContextSlot>>& slots) {
  for (const auto& slot : slots) {
    if (!slot->is_fixed()) attach_one(slot);
  }
  if (!all_settled()) must_tell_ = true;
}

void SecretStore::attach_one(const std::shared_ptr<const ContextSlot>& slot) {
  if (const auto known = users_.find(slot.get()); known != users_.end()) {
    if (!known->second.slot.expired()) return;
    // Another one, at the address of one that is gone.
    const User gone = std::move(known->second);
    users_.erase(known);
    detach(slot.get(), gone);
  }
  User& user = users_[slot.get()];
  user.slot = slot;
  bool is_made = true;  // of the secrets in force
  std::vector<const SecretRef*> wanted;
  for_each_ref(slot->secrets(), [&](const SecretRef& ref) {
    user.needs.push_back(users_of_.emplace(ref.key(), slot.get()));
    if (add_need(ref, &Entry::slots)) wanted.push_back(&ref);
    is_made &= ref.initial != nullptr && secret(ref.key()) == ref.initial;
  });
  if (!is_made) mark_due(slot.get(), user);
  // All are known by now: the fetcher may have them at once.
  for (const SecretRef* ref : wanted) {
    if (fetcher_ != nullptr) fetcher_->on_wanted(*ref);
  }
}

void SecretStore::want(const SecretRef& ref) {
  if (add_need(ref, &Entry::users) && fetcher_ != nullptr) fetcher_->on_wanted(ref);
  if (!all_settled()) must_tell_ = true;
}

void SecretStore::unwant(const SecretName& name) { drop_need(name, &Entry::users); }

bool SecretStore::add_need(const SecretRef& ref, uint32_t Entry::* count) {
  const SecretName name = ref.key();
  const auto [it, is_new] = entries_.try_emplace(name);
  Entry& entry = it->second;
  entry.*count += 1;
  if (!is_new) {
    entry.ref.timeout = std::min(entry.ref.timeout, ref.timeout);
    return false;
  }
  entry.ref = ref;
  ++unsettled_;
  if (ref.initial != nullptr) {
    entry.secret = ref.initial;
    entry.updated = wall_now();
    settle(entry);
  } else {
    entry.give_up_at = loop_.now() + (ref.timeout > Duration{} ? ref.timeout : SecretRef{}.timeout);
    arm_timeout();
  }
  return true;
}

void SecretStore::drop_need(const SecretName& name, uint32_t Entry::* count) {
  const auto it = entries_.find(name);
  DASSERT(it != entries_.end() && it->second.*count > 0);
  if (it == entries_.end()) return;
  Entry& entry = it->second;
  entry.*count -= 1;
  if (entry.users != 0 || entry.slots != 0) return;
  settle(entry);
  const SecretName gone = name;  // `name` may lie in the entry
  if (entry.secret == nullptr) tell_soon();
  settled_.erase(gone);
  entries_.erase(it);
  if (fetcher_ != nullptr) fetcher_->on_unwanted(gone);
}

void SecretStore::detach(const ContextSlot* slot, const User& user) {
  if (user.is_due) std::erase(due_, slot);
  for (const UsersOf::iterator need : user.needs) {
    const SecretName name = need->first;
    users_of_.erase(need);
    drop_need(name, &Entry::slots);
  }
}

void SecretStore::prune() {
  for (auto it = users_.begin(); it != users_.end();) {
    if (!it->second.slot.expired()) {
      ++it;
      continue;
    }
    const auto [slot, user] = std::move(*it);
    it = users_.erase(it);
    detach(slot, user);
  }
  std::erase_if(retired_, [](const auto& context) { return context.use_count() == 1; });
  if (!retired_.empty()) loop_.arm(prune_timer_, kPruneDelay);
}

// ---- sources ----

Status<> SecretStore::put(const SecretName& name, Update update) {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return Ok{};
  Entry& entry = it->second;
  if (update.secret->kind() != name.kind) {
    ++entry.rejected;
    return Error{
        str("expected a ", to_string(name.kind), ", got a ", to_string(update.secret->kind()))};
  }
  if (auto fits = check_users(name, *update.secret); !fits) {
    ++entry.rejected;
    return fits;
  }
  const bool is_same = entry.secret != nullptr && same_contents(*entry.secret, *update.secret);
  SecretPtr before = std::exchange(entry.secret, std::move(update.secret));
  if (auto usable = refresh_first(name, *entry.secret); !usable) {
    entry.secret = std::move(before);
    ++entry.rejected;
    return usable;
  }
  if (before == nullptr) tell_soon();
  const bool is_news = !is_same || (!entry.failure.empty() && entry.is_failure_told);
  entry.version = std::move(update.version);
  entry.updated = wall_now();
  entry.failure.clear();
  if (is_news) log_taken(name, entry);
  settle(entry);
  mark_users_due(name);
  return Ok{};
}

// Every slot has a policy of its own, and only one of them gets a Context made at once.  Those that
// have a Context must not lose it; those that have none must not stop the others' renewal.
Status<> SecretStore::check_users(const SecretName& name, const Secret& secret) const {
  const auto* certificate = std::get_if<CertificateConfig>(&secret.value);
  if (certificate == nullptr) return Ok{};
  Status<> wrong = Ok{};
  bool suits_one = false;
  const auto [first, last] = users_of_.equal_range(name);
  for (auto it = first; it != last; ++it) {
    const auto slot = users_.at(it->second).slot.lock();
    if (slot == nullptr) continue;
    auto fits = slot->accepts(*certificate);
    suits_one |= fits.has_value();
    if (fits) continue;
    if (slot->current() != nullptr) return fits;
    wrong = std::move(fits);
  }
  return suits_one ? Ok{} : wrong;
}

void SecretStore::log_taken(const SecretName& name, const Entry& entry) {
  const std::string secret = config::printable(name.name);
  const std::string version = config::printable(entry.version);
  const auto* certificate = std::get_if<CertificateConfig>(&entry.secret->value);
  const auto chain = describe_pem(certificate == nullptr ? std::string() : certificate->chain_pem);
  if (!chain || chain->empty()) {
    return log::info(log::kTls, "secret taken",
                     {{"secret", secret}, {"type", to_string(name.kind)}, {"version", version}});
  }
  const CertificateInfo& leaf = chain->front();
  log::info(log::kTls, "secret taken",
            {{"secret", secret},
             {"type", to_string(name.kind)},
             {"version", version},
             {"identity", leaf.first(SanType::kUri)},
             {"serial", leaf.serial},
             {"expires", utc_text(leaf.not_after)}});
}

void SecretStore::fail(const SecretName& name, std::string_view reason) {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return;
  Entry& entry = it->second;
  entry.failed = wall_now();
  if (entry.failure == reason && entry.is_failure_told) return;
  entry.failure = reason;
  entry.is_failure_told = entry.failure_lines.try_take(loop_.now());
  if (!entry.is_failure_told) return;
  log::warning(log::kTls,
               entry.secret != nullptr
                   ? "a secret could not be had; the last good one stays"
                   : "a secret could not be had; what needs it is refused until it comes",
               {{"secret", config::printable(name.name)},
                {"type", to_string(name.kind)},
                {"reason", reason}});
}

void SecretStore::remove(const SecretName& name) {
  const auto it = entries_.find(name);
  if (it == entries_.end() || it->second.secret == nullptr) return;
  log::warning(log::kTls, "a secret is gone; what needs it is refused",
               {{"secret", config::printable(name.name)}, {"type", to_string(name.kind)}});
  it->second.secret = nullptr;
  it->second.updated = wall_now();
  mark_users_due(name);
}

void SecretStore::give_up(const SecretName& name) {
  if (const auto it = entries_.find(name); it != entries_.end()) settle(it->second);
}

// ---- what changes ----

void SecretStore::settle(Entry& entry) {
  if (std::exchange(entry.is_settled, true)) return;
  --unsettled_;
  settled_.insert(entry.ref.key());
  tell_soon();
}

void SecretStore::mark_due(const ContextSlot* slot, User& user) {
  if (std::exchange(user.is_due, true)) return;
  due_.push_back(slot);
  loop_.post_next(*this);
}

void SecretStore::tell_soon() {
  must_tell_ = true;
  loop_.post_next(*this);
}

void SecretStore::mark_users_due(const SecretName& name) {
  const auto [first, last] = users_of_.equal_range(name);
  for (auto it = first; it != last; ++it) mark_due(it->second, users_.at(it->second));
}

// Makes the Context of what is there now.
Status<> SecretStore::refresh(User& user) {
  const std::shared_ptr<const ContextSlot> slot = user.slot.lock();
  if (slot == nullptr) return Ok{};
  auto made = slot->resolve(*this);
  if (!made) return Error{made.error()};
  if (slot->current() == *made) return Ok{};
  std::shared_ptr<const Context> former = slot->set(std::move(*made));
  if (former.use_count() > 1) {
    retired_.insert(std::move(former));
    if (!prune_timer_.is_armed()) loop_.arm(prune_timer_, kPruneDelay);
  }
  observer_.on_context_changed(*slot);
  return Ok{};
}

// Tries the secret on the first of those who need it, before it is in force.
Status<> SecretStore::refresh_first(const SecretName& name, const Secret& secret) {
  const auto [first, last] = users_of_.equal_range(name);
  for (auto it = first; it != last; ++it) {
    User& user = users_.at(it->second);
    const std::shared_ptr<const ContextSlot> slot = user.slot.lock();
    if (slot == nullptr) continue;
    Status<> made = refresh(user);
    if (slot->current() != nullptr) return made;
    // Another secret is bad, or is not there yet.  This one is not sent again: judged alone.
    Status<> alone = slot->check(secret);
    return alone || made ? alone : made;
  }
  return Ok{};
}

// Some in each turn: a mesh of a thousand clusters has a thousand Contexts of one certificate.
void SecretStore::run_ready() {
  const Slice slice;
  while (!due_.empty()) {
    const ContextSlot* slot = due_.back();
    due_.pop_back();
    User& user = users_.at(slot);
    user.is_due = false;
    if (auto made = refresh(user); !made) {
      log::warning(unmade_limit_, log::kTls, "no TLS context can be made of the secrets there are",
                   {{"role", slot->role() == Role::kServer ? "server" : "client"},
                    {"reason", made.error()}});
    }
    if (slice.is_over()) break;
  }
  if (!due_.empty()) return loop_.post_next(*this);
  if (std::exchange(must_tell_, false)) observer_.on_secrets_settled();
}

// ---- what does not come ----

void SecretStore::arm_timeout() {
  Instant soonest{};
  for (const auto& [name, entry] : entries_) {
    if (entry.is_settled) continue;
    if (soonest == Instant{} || entry.give_up_at < soonest) soonest = entry.give_up_at;
  }
  if (soonest != Instant{}) loop_.arm_at(timeout_timer_, soonest);
}

void SecretStore::on_timeout() {
  const Instant now = loop_.now();
  for (auto& [name, entry] : entries_) {
    if (entry.is_settled || entry.give_up_at > now) continue;
    log::warning(log::kTls, "a secret has not come in time; what needs it is refused until it does",
                 {{"secret", config::printable(name.name)}, {"type", to_string(name.kind)}});
    settle(entry);
  }
  arm_timeout();
}

// ---- readers ----

bool SecretStore::lacks_essential() const {
  return std::ranges::any_of(entries_, [](const auto& item) {
    return item.second.secret == nullptr && item.second.ref.timeout == Duration{};
  });
}

const SecretStore::Entry* SecretStore::find(const SecretName& name) const {
  const auto it = entries_.find(name);
  return it == entries_.end() ? nullptr : &it->second;
}

SecretPtr SecretStore::secret(const SecretName& name) const {
  const Entry* entry = find(name);
  return entry == nullptr ? nullptr : entry->secret;
}

}  // namespace pillion::tls
