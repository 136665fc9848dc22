#include "proxy/tls/secret.h"

#include <openssl/mem.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "proxy/base/str.h"
#include "proxy/config/root.h"
#include "proxy/tls/context.h"
#include "proxy/tls/data_source.h"
#include "proxy/tls/ocsp.h"
#include "proxy/tls/pem.h"
#include "proxy/tls/wipe.h"

namespace pillion::tls {
namespace {

using config::Node;
using config::Unknown;

// For the kinds whose files are looked into by who uses them.
GenericSecret parse_generic(const Node& node) {
  GenericSecret out;
  if (const Node one = node["secret"]) out.texts[""] = read_data_source(one).text;
  for (const config::Entry& entry : node["secrets"].entries())
    out.texts[std::string(entry.key)] = read_data_source(entry.node).text;
  if (out.texts.empty()) node.error("expected secret or secrets");
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return out;
}

Result<std::string> read_named(const std::string& name) {
  Result<std::string> text = read_file(name);
  if (!text) return Error{str(name, ": ", text.error())};
  if (text->empty()) return Error{str(name, " is empty")};
  return text;
}

// "" without a file.  One that has expired may be read: the policy tells what becomes of it.
Result<std::string> read_staple(const std::string& file, const std::string& chain_pem) {
  if (file.empty()) return std::string();
  Result<std::string> der = read_named(file);
  if (!der) return Error{der.error()};
  if (const auto ok = check_staple(*der, chain_pem); !ok) return Error{str(file, ": ", ok.error())};
  return der;
}

Result<SecretPtr> read_certificate(const SecretSource::Files& files) {
  Result<std::string> chain = read_named(files.chain);
  if (!chain) return Error{chain.error()};
  Result<std::string> key = read_named(files.key);
  if (!key) return Error{key.error()};
  Wiped held(std::move(*key));
  const auto certificates = parse_certificates(*chain);
  if (!certificates) return Error{str(files.chain, ": ", certificates.error())};
  const auto private_key = parse_private_key(held.text);
  if (!private_key) return Error{str(files.key, ": ", private_key.error())};
  if (const auto ok = check_key_matches(*certificates->front(), **private_key); !ok)
    return Error{str(files.key, ": ", ok.error(), " (", files.chain, ")")};
  Result<std::string> staple = read_staple(files.staple, *chain);
  if (!staple) return Error{staple.error()};
  CertificateConfig out;
  out.ocsp_staple = std::move(*staple);
  out.chain_pem = std::move(*chain);
  out.key_pem = held.text;
  out.source = files.chain;
  return SecretPtr(std::make_shared<const Secret>(std::move(out)));
}

Result<SecretPtr> read_validation(const SecretSource::Files& files) {
  ValidationConfig out;
  Result<std::string> ca = read_named(files.ca);
  if (!ca) return Error{ca.error()};
  if (const auto ok = parse_certificates(*ca); !ok) return Error{str(files.ca, ": ", ok.error())};
  out.trusted_ca_pem = std::move(*ca);
  out.trusted_ca_source = files.ca;
  if (!files.crl.empty()) {
    Result<std::string> crl = read_named(files.crl);
    if (!crl) return Error{crl.error()};
    if (const auto ok = parse_crls(*crl); !ok) return Error{str(files.crl, ": ", ok.error())};
    out.crl_pem = std::move(*crl);
  }
  return SecretPtr(std::make_shared<const Secret>(std::move(out)));
}

}  // namespace

std::string_view to_string(SecretKind kind) noexcept {
  switch (kind) {
    case SecretKind::kCertificate:
      return "tls_certificate";
    case SecretKind::kValidation:
      return "validation_context";
    case SecretKind::kTicketKeys:
      return "session_ticket_keys";
    case SecretKind::kGeneric:
      return "generic_secret";
  }
  return "";
}

TicketKeys::~TicketKeys() {
  for (auto& key : keys) OPENSSL_cleanse(key.data(), key.size());
}

Secret::~Secret() {
  if (auto* certificate = std::get_if<CertificateConfig>(&value)) wipe(certificate->key_pem);
  if (auto* generic = std::get_if<GenericSecret>(&value)) {
    for (auto& [name, text] : generic->texts) wipe(text);
  }
}

namespace {

bool same(const CertificateConfig& a, const CertificateConfig& b) {
  return a.chain_pem == b.chain_pem && a.key_pem == b.key_pem && a.ocsp_staple == b.ocsp_staple;
}
bool same(const ValidationConfig& a, const ValidationConfig& b) {
  const auto fingerprint = [](const ValidationConfig& validation) {
    ContextConfig config;
    config.validation = validation;
    return Context::fingerprint(config);
  };
  return fingerprint(a) == fingerprint(b);
}
bool same(const TicketKeys& a, const TicketKeys& b) { return a.keys == b.keys; }
bool same(const GenericSecret& a, const GenericSecret& b) { return a.texts == b.texts; }

}  // namespace

bool same_contents(const Secret& a, const Secret& b) {
  return std::visit(
      [](const auto& one, const auto& other) {
        if constexpr (std::is_same_v<decltype(one), decltype(other)>) return same(one, other);
        return false;
      },
      a.value, b.value);
}

TicketKeys parse_ticket_keys(const Node& node) {
  TicketKeys out;
  out.keys.reserve(node["keys"].size());  // no copy stays behind where they grow
  for (const Node item : node["keys"].items()) {
    Wiped key(read_data_source(item).text);
    auto& bytes = out.keys.emplace_back();
    if (key.text.size() == bytes.size()) {
      std::memcpy(bytes.data(), key.text.data(), bytes.size());
    } else {
      item.error(str("a ticket key has ", bytes.size(), " bytes, this one ", key.text.size()));
    }
  }
  if (out.keys.empty()) node["keys"].error("expected at least one key");
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return out;
}

SecretPtr parse_secret(const Node& node, std::string& name) {
  const size_t errors_before = node.errors()->error_count();
  name = node["name"].as_string_or("");
  const Node field = node.one_of(
      {"tls_certificate", "validation_context", "session_ticket_keys", "generic_secret"});
  node.reject_unknown_keys(Unknown::kAlwaysError);
  if (field.is_missing()) return nullptr;
  SecretPtr out;
  if (node.has("tls_certificate")) {
    out = std::make_shared<const Secret>(parse_certificate(field));
  } else if (node.has("validation_context")) {
    field.unsupported({"ca_certificate_provider_instance"}, "a secret has its CAs itself",
                      Unknown::kAlwaysError);
    out = std::make_shared<const Secret>(
        parse_validation(field, FileUse::kPart, Completeness::kPart));
  } else if (node.has("session_ticket_keys")) {
    out = std::make_shared<const Secret>(parse_ticket_keys(field));
  } else {
    out = std::make_shared<const Secret>(parse_generic(field));
  }
  return node.errors()->error_count() == errors_before ? out : nullptr;
}

SecretPtr find_static_secret(const Node& node, std::string_view name, SecretKind kind) {
  config::Errors elsewhere;  // what is wrong with it is told where the list is read
  const Node list = config::root_of(node, elsewhere)["static_resources"]["secrets"];
  for (const Node item : list.items()) {
    if (item["name"].as_string_or("") != name) continue;
    std::string found;
    SecretPtr secret = parse_secret(item, found);
    if (secret != nullptr && secret->kind() == kind) return secret;
  }
  return nullptr;
}

Result<SecretPtr> read_secret_files(const SecretSource::Files& files) {
  return files.ca.empty() ? read_certificate(files) : read_validation(files);
}

SecretRef make_files_ref(SecretSource::Files files, SecretKind kind, SecretPtr initial) {
  auto source = std::make_shared<SecretSource>();
  // A name of a file may hold anything but NUL.
  for (const std::string* part : {&files.chain, &files.key, &files.ca, &files.crl, &files.staple})
    source->key.append(*part).push_back('\0');
  source->key.insert(0, "files/");
  SecretRef ref;
  ref.kind = kind;
  ref.name = files.ca.empty() ? files.chain : files.ca;
  ref.initial = std::move(initial);
  source->how = std::move(files);
  ref.source = std::move(source);
  return ref;
}

}  // namespace pillion::tls
