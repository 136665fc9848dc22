#include "certs/spiffe_provider.h"

#include <algorithm>
#include <utility>

#include "certs/svid.h"
#include "proxy/base/json.h"
#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "proxy/tls/pem.h"
#include "proxy/tls/spiffe_id.h"

namespace pillion::certs {
namespace {

using tls::Secret;
using tls::SecretKind;
using tls::SecretPtr;

constexpr std::string_view kScheme = "spiffe://";
constexpr std::string_view kOwnBundle = "ROOTCA";
constexpr std::string_view kAllBundles = "ALL";
constexpr std::string_view kJwtPrefix = "jwt:";
constexpr std::string_view kSource = "spiffe";
constexpr size_t kMaxChain = 16;
constexpr size_t kMaxJsonDepth = 16;
constexpr size_t kMaxShown = 200;
constexpr size_t kMostSkipped = 16;  // that are named

template <typename T>
SecretPtr make_secret(T value) {
  return std::make_shared<const Secret>(std::move(value));
}

// "spiffe://mesh.local" and "mesh.local" are both in use.
std::string_view domain_of(std::string_view name) {
  if (name.starts_with(kScheme)) name.remove_prefix(kScheme.size());
  return name;
}

Result<std::string> bundle_pem(std::string_view domain, std::string_view der) {
  if (std::string why = tls::trust_domain_error(domain); !why.empty())
    return Error{str("bundle of \"", config::printable(domain, kMaxShown), "\": ", why)};
  auto pem = pem_of_der("CERTIFICATE", der);
  if (!pem) return Error{str("bundle of ", domain, ": no certificates")};
  if (const auto ok = check_bundle(*pem); !ok)
    return Error{str("bundle of ", domain, ": ", ok.error())};
  return std::move(*pem);
}

using BundlesByDomain = std::map<std::string, std::string, std::less<>>;
using Skipped = std::set<std::string>;

void skip(Skipped& skipped, std::string reason) {
  if (skipped.size() < kMostSkipped) skipped.insert(std::move(reason));
}

// What `read` makes of each bundle.  A bad one is left out, so that a foreign trust domain cannot
// keep the others from being renewed; but of our own (if it is known), or if none is good, it is
// an error.  What is in `to` stays.
template <typename Read>
Status<> add_bundles(const BundleMap& from, std::string_view own, Read&& read, BundlesByDomain& to,
                     Skipped& skipped) {
  std::optional<std::string> first_reason;
  for (const auto& [name, bytes] : from) {
    const std::string_view domain = domain_of(name);
    if (to.contains(domain)) continue;
    Result<std::string> bundle = read(domain, bytes);
    if (bundle) {
      to.emplace(domain, std::move(*bundle));
      continue;
    }
    if (!own.empty() && domain == own) return Error{bundle.error()};
    if (!first_reason) first_reason = bundle.error();
    skip(skipped, std::move(bundle.error()));
  }
  if (to.empty() && first_reason) return Error{std::move(*first_reason)};
  return Ok{};
}

Result<std::string> crls_pem(const std::vector<std::string_view>& crls_der) {
  std::string out;
  for (const std::string_view der : crls_der) {
    const auto pem = pem_of_der("X509 CRL", der);
    if (!pem) return Error{"a revocation list that is none"};
    out += *pem;
  }
  if (out.empty()) return out;
  if (const auto ok = tls::parse_crls(out); !ok) return Error{ok.error()};
  return out;
}

Result<std::string> jwt_bundle(std::string_view domain, std::string_view text) {
  const auto json = JsonDocument::parse(text, kMaxJsonDepth);
  if (!tls::trust_domain_error(domain).empty() || !json || !json->root()["keys"].is_array())
    return Error{str("JWT bundle of \"", config::printable(domain, kMaxShown), "\": no JWKS")};
  return std::string(text);
}

// Once per change.
void log_skipped(const Skipped& before, const Skipped& now) {
  for (const std::string& reason : now) {
    if (before.contains(reason)) continue;
    log::warning(log::kTls, "a part of the SPIFFE Workload API's answer is not used",
                 {{"reason", reason}});
  }
}

}  // namespace

SpiffeProvider::SpiffeProvider(const ProviderContext& context, tls::SecretSource::Spiffe options)
    : context_(context),
      options_(std::move(options)),
      svids_(context, options_.cluster.value, kFetchX509Svid, *this),
      bundles_(context, options_.cluster.value, kFetchX509Bundles, *this),
      jwt_bundles_(context, options_.cluster.value, kFetchJwtBundles, *this) {}

// ---- who wants what ----

void SpiffeProvider::want(const tls::SecretRef& ref) {
  const tls::SecretName name = ref.key();
  if (ref.kind == SecretKind::kTicketKeys ||
      (ref.kind == SecretKind::kGeneric && !name.name.starts_with(kJwtPrefix))) {
    context_.store.fail(name,
                        str("the Workload API has no ", to_string(ref.kind), " of this name"));
    return context_.store.give_up(name);
  }
  wanted_.insert(name);
  update_streams();
  publish(name);
}

void SpiffeProvider::unwant(const tls::SecretName& name) {
  wanted_.erase(name);
  update_streams();
}

void SpiffeProvider::stop() {
  is_stopped_ = true;
  svids_.stop();
  bundles_.stop();
  jwt_bundles_.stop();
}

// Which trust domain is ours is known by an SVID; with it come all bundles that this workload has
// to do with.
bool SpiffeProvider::needs_svids() const {
  return std::ranges::any_of(wanted_, [](const tls::SecretName& name) {
    return name.kind == SecretKind::kCertificate ||
           (name.kind == SecretKind::kValidation && name.name == kOwnBundle);
  });
}

WorkloadStream& SpiffeProvider::stream_of(const tls::SecretName& name) {
  if (name.kind == SecretKind::kGeneric) return jwt_bundles_;
  return needs_svids() ? svids_ : bundles_;
}

void SpiffeProvider::update_streams() {
  if (is_stopped_) return;
  const auto is_wanted = [this](SecretKind kind) {
    return std::ranges::any_of(wanted_, [kind](const auto& name) { return name.kind == kind; });
  };
  const bool svids = needs_svids();
  const auto set = [](WorkloadStream& stream, bool is_on) {
    is_on ? stream.start() : stream.stop();
  };
  set(svids_, svids);
  set(bundles_, !svids && is_wanted(SecretKind::kValidation));
  set(jwt_bundles_, is_wanted(SecretKind::kGeneric));
}

// ---- what comes ----

void SpiffeProvider::on_workload_message(WorkloadStream& stream, std::string_view message) {
  if (const Status<> taken = take(stream, message); !taken)
    return on_workload_failure(stream, taken.error());
  for (const tls::SecretName& name : wanted_) {
    if (&stream_of(name) == &stream) publish(name);
  }
}

void SpiffeProvider::on_workload_failure(WorkloadStream& stream, std::string_view reason) {
  for (const tls::SecretName& name : wanted_) {
    if (&stream_of(name) == &stream)
      context_.store.fail(name, str("the SPIFFE Workload API: ", reason));
  }
}

Status<> SpiffeProvider::take(const WorkloadStream& stream, std::string_view message) {
  if (&stream == &jwt_bundles_) {
    const auto answer = decode_jwt_bundles(message);
    if (!answer) return Error{"the answer is no JWTBundlesResponse"};
    Bundles bundles;
    Skipped skipped;
    if (auto ok = add_bundles(answer->bundles, own_domain(), jwt_bundle, bundles, skipped); !ok)
      return ok;
    log_skipped(std::exchange(jwt_skipped_, skipped), skipped);
    jwt_ = std::move(bundles);
    return Ok{};
  }
  State next;
  if (&stream == &svids_) {
    auto state = read_svids(message);
    if (!state) return Error{state.error()};
    next = std::move(*state);
  } else {
    const auto answer = decode_x509_bundles(message);
    if (!answer) return Error{"the answer is no X509BundlesResponse"};
    if (auto ok =
            add_bundles(answer->bundles, own_domain(), bundle_pem, next.bundles, next.skipped);
        !ok) {
      return ok;
    }
    auto crls = crls_pem(answer->crls_der);
    if (!crls) return Error{crls.error()};
    next.crl_pem = std::move(*crls);
  }
  std::swap(state_, next);
  told_ = &stream;
  log_identity(next);
  log_skipped(next.skipped, state_.skipped);
  return Ok{};
}

Result<SpiffeProvider::State> SpiffeProvider::read_svids(std::string_view message) const {
  const auto answer = decode_x509_svids(message);
  if (!answer) return Error{"the answer is no X509SVIDResponse"};
  if (answer->svids.empty()) return Error{"the answer has no SVID"};
  State out;
  const WallTime now = wall_now();
  std::set<std::string_view> hints;
  for (const SvidMessage& svid : answer->svids) {
    // The standard: of SVIDs with the same hint the first counts.
    if (!svid.hint.empty() && !hints.insert(svid.hint).second) continue;
    auto identity = read_svid(svid, now);
    auto pem = identity ? bundle_pem(identity->trust_domain, svid.bundle_der)
                        : Result<std::string>(Error{identity.error()});
    if (pem) {
      out.bundles.try_emplace(identity->trust_domain, std::move(*pem));
      out.identities.push_back(std::move(*identity));
    } else if (out.identities.empty()) {
      return Error{pem.error()};  // ours
    } else {
      skip(out.skipped, std::move(pem.error()));
    }
  }
  if (!options_.trust_domain.empty() &&
      out.identities.front().trust_domain != options_.trust_domain) {
    return Error{str("the SVID is of the trust domain ", out.identities.front().trust_domain,
                     ", not ", options_.trust_domain)};
  }
  // What is known by now is good: no federated bundle can make it an error.
  (void)add_bundles(answer->federated_bundles, {}, bundle_pem, out.bundles, out.skipped);
  auto crls = crls_pem(answer->crls_der);
  if (!crls) return Error{crls.error()};
  out.crl_pem = std::move(*crls);
  return out;
}

Result<SpiffeProvider::Identity> SpiffeProvider::read_svid(const SvidMessage& message,
                                                           WallTime now) const {
  const std::string shown = config::printable(message.spiffe_id, kMaxShown);
  auto chain = pem_of_der("CERTIFICATE", message.chain_der, kMaxChain);
  auto key = pem_of_der("PRIVATE KEY", message.key_der, 1);
  if (!chain || !key) return Error{str("the SVID ", shown, ": no certificates, or no key")};
  tls::CertificateConfig config;
  config.chain_pem = std::move(*chain);
  config.key_pem = std::move(*key);
  config.source = kSource;
  auto svid = check_svid(config.chain_pem, config.key_pem, now);
  SecretPtr secret = make_secret(std::move(config));  // which wipes the key, if it must go
  if (!svid) return Error{str("the SVID ", shown, ": ", svid.error())};
  if (svid->id != message.spiffe_id)
    return Error{str("the SVID ", shown, ": its certificate is for ", svid->id)};
  return Identity{std::move(svid->id), std::string(message.hint), std::move(svid->trust_domain),
                  std::move(secret)};
}

void SpiffeProvider::log_identity(const State& before) const {
  if (state_.identities.empty()) return;
  const Identity& now = state_.identities.front();
  const bool is_known = !before.identities.empty() && before.identities.front().id == now.id;
  if (is_known && before.bundles.size() == state_.bundles.size()) return;
  log::info(log::kTls, "identity from the SPIFFE Workload API",
            {{"identity", now.id}, {"trust_domains", state_.bundles.size()}});
}

// ---- what is known ----

void SpiffeProvider::publish(const tls::SecretName& name) {
  if (SecretPtr secret = find(name)) {
    const auto taken = context_.store.put(name, {std::move(secret), {}});
    if (!taken) context_.store.fail(name, taken.error());
    return;
  }
  const WorkloadStream& stream = stream_of(name);
  const bool is_answered = &stream == &jwt_bundles_ ? jwt_.has_value() : told_ == &stream;
  if (!is_answered) return;
  // Whom the API vouches for no more nobody may trust; an identity is its peers' to judge.
  if (name.kind != SecretKind::kCertificate) context_.store.remove(name);
  context_.store.fail(name, "the SPIFFE Workload API has none of this name for this workload");
}

std::string_view SpiffeProvider::own_domain() const {
  if (!options_.trust_domain.empty() || state_.identities.empty()) return options_.trust_domain;
  return state_.identities.front().trust_domain;
}

SecretPtr SpiffeProvider::find(const tls::SecretName& name) const {
  switch (name.kind) {
    case SecretKind::kCertificate:
      return identity(name.name);
    case SecretKind::kValidation:
      return validation(name.name);
    case SecretKind::kGeneric:
      return jwks(name.name);
    case SecretKind::kTicketKeys:
      return nullptr;
  }
  return nullptr;
}

SecretPtr SpiffeProvider::identity(std::string_view name) const {
  if (state_.identities.empty()) return nullptr;
  const auto found = std::ranges::find_if(state_.identities, [name](const Identity& identity) {
    return identity.id == name || (!identity.hint.empty() && identity.hint == name);
  });
  if (found != state_.identities.end()) return found->secret;
  return name == "default" ? state_.identities.front().secret : nullptr;
}

SecretPtr SpiffeProvider::validation(std::string_view name) const {
  tls::ValidationConfig out;
  out.trusted_ca_source = kSource;
  out.crl_pem = state_.crl_pem;
  if (name == kAllBundles) {
    for (const auto& [domain, pem] : state_.bundles) out.trust_domains.push_back({domain, pem});
  } else if (name != kOwnBundle || !state_.identities.empty()) {
    const auto found = state_.bundles.find(
        name == kOwnBundle ? state_.identities.front().trust_domain : domain_of(name));
    if (found != state_.bundles.end()) out.trust_domains.push_back({found->first, found->second});
  }
  return out.trust_domains.empty() ? nullptr : make_secret(std::move(out));
}

SecretPtr SpiffeProvider::jwks(std::string_view name) const {
  if (!jwt_) return nullptr;
  const auto found = jwt_->find(domain_of(name.substr(kJwtPrefix.size())));
  if (found == jwt_->end()) return nullptr;
  tls::GenericSecret out;
  out.texts.emplace("", found->second);
  return make_secret(std::move(out));
}

}  // namespace pillion::certs
