#include "certs/providers.h"

#include <utility>

#include "certs/csr_provider.h"
#include "certs/files.h"
#include "certs/sds.h"
#include "certs/spiffe_provider.h"
#include "proxy/base/assert.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"

namespace pillion::certs {
namespace {

constexpr std::string_view kStatic = "static";

}  // namespace

Providers::Providers(const ProviderContext& context)
    : context_(context), ads_(std::make_unique<AdsSecrets>(context)) {
  context_.registry.on_scrape([this] { update_stats(); });
}
Providers::~Providers() = default;

void Providers::set_static(const std::vector<StaticSecret>& secrets) {
  static_.clear();
  for (const StaticSecret& one : secrets) {
    if (one.secret != nullptr) static_[{one.secret->kind(), one.name}] = one.secret;
  }
  for (const auto& [name, entry] : context_.store.entries())
    if (name.source == kStatic) put_static(name);
}

void Providers::put_static(const tls::SecretName& name) {
  const auto it = static_.find({name.kind, name.name});
  Status<> taken = Error{str("static_resources.secrets has no ", tls::to_string(name.kind), " \"",
                             config::printable(name.name), '"')};
  if (it != static_.end()) taken = context_.store.put(name, {it->second, {}});
  if (!taken) context_.store.fail(name, taken.error());
  context_.store.give_up(name);
}

void Providers::on_wanted(const tls::SecretRef& ref) {
  if (std::holds_alternative<tls::SecretSource::Static>(ref.source->how))
    return put_static(ref.key());
  const auto [it, is_new] = sources_.try_emplace(ref.source->key);
  if (is_new) it->second = make_source(*ref.source);
  ++it->second.wanted;
  it->second.provider->want(ref);
}

void Providers::on_unwanted(const tls::SecretName& name) {
  const auto it = sources_.find(name.source);
  if (it == sources_.end()) return;
  Source& source = it->second;
  source.provider->unwant(name);
  if (--source.wanted != 0) return;
  if (source.owned != nullptr) source.owned->stop();
  sources_.erase(it);
}

Providers::Source Providers::make_source(const tls::SecretSource& source) {
  using tls::SecretSource;
  Source out;
  if (const auto* files = std::get_if<SecretSource::Files>(&source.how))
    out.owned = std::make_unique<FilesProvider>(context_, *files);
  if (const auto* path = std::get_if<SecretSource::Path>(&source.how))
    out.owned = std::make_unique<PathProvider>(context_, *path);
  if (const auto* grpc = std::get_if<SecretSource::Grpc>(&source.how))
    out.owned = std::make_unique<SdsProvider>(context_, grpc->service);
  if (const auto* spiffe = std::get_if<SecretSource::Spiffe>(&source.how))
    out.owned = std::make_unique<SpiffeProvider>(context_, *spiffe);
  if (const auto* authority = std::get_if<SecretSource::Authority>(&source.how))
    out.owned = std::make_unique<CsrProvider>(context_, *authority);
  out.provider = out.owned.get();
  if (std::holds_alternative<SecretSource::Ads>(source.how)) out.provider = ads_.get();
  DASSERT(out.provider != nullptr);
  return out;
}

void Providers::check() {
  for (auto& [key, source] : sources_) source.provider->check();
}

void Providers::stop() {
  for (auto& [key, source] : sources_) source.provider->stop();
  ads_->stop();
}

void Providers::update_stats() {
  for (auto& [key, source] : sources_) source.provider->update_stats();
}

}  // namespace pillion::certs
