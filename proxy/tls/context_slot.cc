#include "proxy/tls/context_slot.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/tls/interned.h"
#include "proxy/tls/validation_config.h"
#include "proxy/tls/wipe.h"

namespace pillion::tls {
namespace {

Interned<ContextSlot>& interned() {
  static Interned<ContextSlot> all;
  return all;
}

void add(std::string& name, const SecretRef& ref) {
  const SecretName key = ref.key();
  name += str('\0', key.source.size(), ':', key.source, static_cast<int>(key.kind), key.name.size(),
              ':', key.name);
}

std::string name_of(const ContextConfig& config, const SecretRefs& secrets) {
  std::string name = Context::fingerprint(config);
  for (const SecretRef& ref : secrets.certificates) add(name, ref);
  name += 'v';
  if (secrets.validation) add(name, *secrets.validation);
  name += 't';
  if (secrets.ticket_keys) add(name, *secrets.ticket_keys);
  return name;
}

bool verifies_anything(const ValidationConfig& v) {
  return !v.trusted_ca_pem.empty() || !v.trust_domains.empty() || !v.certificate_hashes.empty() ||
         !v.spki_hashes.empty();
}

// What /certs and messages call it: "sds/default".
void name_source(std::string& source, const SecretRef& ref) {
  if (source == "<inline>" && ref.source->key != "static") source = str("sds/", ref.name);
}

std::shared_ptr<const TicketKeyring> make_own_tickets(const ContextConfig& config,
                                                      const SecretRefs& secrets) {
  const bool has_others = config.ticket_keyring != nullptr || secrets.ticket_keys.has_value();
  if (config.role != Role::kServer || !config.resumes_sessions || has_others) return nullptr;
  return TicketKeyring::own(config.session_timeout);
}

// Of the secrets that were found when the configuration was read.
class Initial final : public ContextSlot::Lookup {
 public:
  [[nodiscard]] SecretPtr find(const SecretRef& ref) const override { return ref.initial; }
};

}  // namespace

ContextSlot::ContextSlot(ContextConfig config, SecretRefs secrets)
    : config_(std::move(config)),
      secrets_(std::move(secrets)),
      own_tickets_(make_own_tickets(config_, secrets_)) {}

Result<std::shared_ptr<const ContextSlot>> ContextSlot::make(ContextConfig config,
                                                             SecretRefs secrets) {
  const std::string name = name_of(config, secrets);
  Interned<ContextSlot>& all = interned();
  {
    const std::lock_guard lock(all.mutex);
    if (auto slot = all.find(name)) return slot;
  }
  std::shared_ptr<ContextSlot> made(new ContextSlot(std::move(config), std::move(secrets)));
  auto context = made->resolve(Initial());
  if (!context) return Error{context.error()};
  made->current_ = std::move(*context);
  const std::lock_guard lock(all.mutex);
  all.put(name, made);
  return std::shared_ptr<const ContextSlot>(std::move(made));
}

std::shared_ptr<const ContextSlot> ContextSlot::fixed(std::shared_ptr<const Context> context) {
  ContextConfig config;
  config.role = context->role();
  config.resumes_sessions = false;  // of its own
  std::shared_ptr<ContextSlot> made(new ContextSlot(std::move(config), {}));
  made->current_ = std::move(context);
  return made;
}

std::shared_ptr<const Context> ContextSlot::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

std::shared_ptr<const Context> ContextSlot::set(std::shared_ptr<const Context> context) const {
  const std::lock_guard lock(mutex_);
  return std::exchange(current_, std::move(context));
}

Status<> ContextSlot::accepts(const CertificateConfig& certificate) const {
  if (config_.role == Role::kClient) return Ok{};
  return check_ocsp_policy(certificate, config_.ocsp_policy);
}

Result<std::shared_ptr<const Context>> ContextSlot::resolve(const Lookup& lookup) const {
  ContextConfig full = config_;
  const auto done = [&full](Result<std::shared_ptr<const Context>> result) {
    for (CertificateConfig& certificate : full.certificates) wipe(certificate.key_pem);
    return result;
  };
  const std::shared_ptr<const Context> none;
  for (const SecretRef& ref : secrets_.certificates) {
    const SecretPtr secret = lookup.find(ref);
    if (secret == nullptr) return done(none);
    full.certificates.push_back(std::get<CertificateConfig>(secret->value));
    name_source(full.certificates.back().source, ref);
    if (auto ok = accepts(full.certificates.back()); !ok) return done(Error{ok.error()});
  }
  if (secrets_.validation) {
    const SecretPtr secret = lookup.find(*secrets_.validation);
    if (secret == nullptr) return done(none);
    auto merged = merged_with(std::get<ValidationConfig>(secret->value));
    if (!merged) return done(Error{merged.error()});
    full.validation = std::move(*merged);
  }
  if (own_tickets_ != nullptr) full.ticket_keyring = own_tickets_;
  if (secrets_.ticket_keys) {
    const SecretPtr secret = lookup.find(*secrets_.ticket_keys);
    if (secret == nullptr) return done(none);
    full.ticket_keyring = TicketKeyring::given(std::get<TicketKeys>(secret->value));
  }
  return done(Context::make(full));
}

// As it is required of a file: what proves nothing, or what nobody would look at, is an error.
Result<ValidationConfig> ContextSlot::merged_with(const ValidationConfig& validation) const {
  ValidationConfig out = merge(config_.validation.value_or(ValidationConfig{}), validation);
  name_source(out.trusted_ca_source, *secrets_.validation);
  if (!verifies_anything(out))
    return Error{"validation_context: without trusted_ca and without pins it would let anybody in"};
  if (const std::string why = what_is_missing(out); !why.empty())
    return Error{str("validation_context: ", why)};
  return out;
}

Status<> ContextSlot::check(const Secret& secret) const {
  ContextConfig alone;
  alone.role = Role::kClient;
  if (const auto* certificate = std::get_if<CertificateConfig>(&secret.value)) {
    alone.certificates.push_back(*certificate);
  } else if (const auto* validation = std::get_if<ValidationConfig>(&secret.value)) {
    auto merged = merged_with(*validation);
    if (!merged) return Error{merged.error()};
    alone.validation = std::move(*merged);
  } else {
    return Ok{};
  }
  const auto made = Context::make(alone);
  for (CertificateConfig& certificate : alone.certificates) wipe(certificate.key_pem);
  if (!made) return Error{made.error()};
  return Ok{};
}

}  // namespace pillion::tls
