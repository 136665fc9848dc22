#include "certs/files.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "certs/problem.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "xds/file_response.h"
#include "xds/resource_document.h"

namespace pillion::certs {
namespace {

// What tells one content from another, for the log and /config_dump.
std::string version_of(const tls::Secret& secret) {
  size_t hash = 0;
  if (const auto* c = std::get_if<tls::CertificateConfig>(&secret.value))
    hash = std::hash<std::string>{}(c->chain_pem + c->ocsp_staple);
  if (const auto* v = std::get_if<tls::ValidationConfig>(&secret.value))
    hash = std::hash<std::string>{}(v->trusted_ca_pem + v->crl_pem);
  return str(hash);
}

}  // namespace

// ---- one certificate, one set of CAs ----

FilesProvider::FilesProvider(const ProviderContext& context, const tls::SecretSource::Files& files)
    : context_(context), files_(files), watches_(context.loop, *this) {}

void FilesProvider::want(const tls::SecretRef& ref) {
  name_ = ref.key();
  last_ = ref.initial;
  is_wanted_ = true;
  std::set<std::string> files;
  for (const std::string* file :
       {&files_.chain, &files_.key, &files_.ca, &files_.crl, &files_.staple})
    if (!file->empty()) files.insert(*file);
  watches_.set(files);
  // What changed since the configuration was read has no watch that would tell.
  read();
}

void FilesProvider::unwant(const tls::SecretName&) {
  is_wanted_ = false;
  watches_.clear();
}

void FilesProvider::on_file_gone(const std::string& path) { fail(str(path, " is gone")); }

void FilesProvider::read() {
  if (!is_wanted_) return;
  Result<tls::SecretPtr> found = tls::read_secret_files(files_);
  if (!found) return fail(found.error());
  const tls::SecretStore::Entry* entry = context_.store.find(name_);
  const bool has_failed = entry != nullptr && !entry->failure.empty();
  const bool is_same = last_ != nullptr && tls::same_contents(*last_, **found);
  if (is_same && !has_failed) return;
  // The same again after a failure: the one in force has its files back.
  tls::SecretPtr secret = is_same ? last_ : *found;
  const std::string version = version_of(*secret);
  if (auto taken = context_.store.put(name_, {secret, version}); !taken)
    return fail(str(name_.name, ": ", taken.error()));
  last_ = std::move(secret);
}

void FilesProvider::fail(std::string_view reason) {
  context_.store.fail(name_, reason);
  // Nothing would be gained by waiting.
  context_.store.give_up(name_);
}

// ---- a DiscoveryResponse ----

PathProvider::PathProvider(const ProviderContext& context, const tls::SecretSource::Path& path)
    : context_(context), path_(path.path), watches_(context.loop, *this) {}

void PathProvider::want(const tls::SecretRef& ref) {
  const bool is_first = wanted_.empty();
  wanted_.insert(ref.key());
  if (is_first) watches_.set({path_});
  read();
}

void PathProvider::unwant(const tls::SecretName& name) {
  wanted_.erase(name);
  if (wanted_.empty()) watches_.clear();
}

void PathProvider::on_file_gone(const std::string& path) { fail_all(str(path, " is gone")); }

void PathProvider::fail_all(std::string_view reason) {
  for (const tls::SecretName& name : wanted_) {
    context_.store.fail(name, reason);
    context_.store.give_up(name);
  }
}

void PathProvider::read() {
  if (wanted_.empty()) return;
  constexpr xds::ResourceType kType = xds::ResourceType::kSecrets;
  const Result<xds::Response> said = xds::read_response(path_, kType);
  if (!said) return fail_all(said.error());
  if (!said->wrong.empty()) return fail_all(first_problem(said->wrong));
  config::Errors errors;
  std::map<std::string, tls::SecretPtr> found;
  for (const xds::Resource& resource : said->resources) {
    const xds::ResourceDocument document = xds::document_of(kType, resource, errors);
    if (document.value == nullptr) break;
    std::string name;
    tls::SecretPtr secret = tls::parse_secret(document.node(errors), name);
    if (secret != nullptr) found[name] = std::move(secret);
  }
  // What the secrets name is a part of them.
  std::set<std::string> files = errors.files();
  files.insert(path_);
  if (watches_.set(files)) return read();
  if (!errors.ok()) return fail_all(first_problem(errors));
  for (const tls::SecretName& name : wanted_) {
    const auto it = found.find(name.name);
    Status<> taken = Error{str(path_, ": has no secret \"", config::printable(name.name), '"')};
    if (it != found.end()) taken = context_.store.put(name, {it->second, said->version});
    if (!taken) context_.store.fail(name, taken.error());
    context_.store.give_up(name);
  }
}

}  // namespace pillion::certs
