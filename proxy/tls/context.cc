#include "proxy/tls/context.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "proxy/base/assert.h"
#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "proxy/tls/callbacks.h"
#include "proxy/tls/context_hash.h"
#include "proxy/tls/interned.h"
#include "proxy/tls/resumption.h"

namespace pillion::tls {
namespace {

// Envoy's defaults (reference envoy.md 1.9): AEAD only, and both AES and ChaCha by the client's
// wish.
constexpr char kDefaultCiphers[] =
    "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]:"
    "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
// Hybrid first: what is recorded today is not to be read when quantum computers come.  A client
// sends a key share of it and one of X25519, 1.2 KB more of ClientHello.
constexpr char kDefaultGroups[] = "X25519MLKEM768:X25519:P-256";

// Of the message that carries a peer's chain, which is held until it is whole: 32 certificates
// (Verifier::kMaxPresented) of 2 KiB.  The library's own bound is 100 KB.
constexpr size_t kMaxChainBytes = size_t{64} << 10;

// Certificates that many connections or contexts hold are stored once.
CRYPTO_BUFFER_POOL* certificate_pool() {
  static CRYPTO_BUFFER_POOL* const pool = CRYPTO_BUFFER_POOL_new();
  return pool;
}

std::string join(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += str(out.empty() ? "" : ":", part);
  return out;
}

std::string take_reason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason == nullptr ? "unknown error" : reason;
}

using CredentialPtr = bssl::UniquePtr<SSL_CREDENTIAL>;

// Null after an error of the library.
CredentialPtr make_credential(const std::vector<CRYPTO_BUFFER*>& chain, EVP_PKEY* key,
                              std::string_view staple) {
  CredentialPtr credential(SSL_CREDENTIAL_new_x509());
  if (!credential ||
      !SSL_CREDENTIAL_set1_cert_chain(credential.get(), chain.data(), chain.size()) ||
      !SSL_CREDENTIAL_set1_private_key(credential.get(), key)) {
    return nullptr;
  }
  if (staple.empty()) return credential;
  const bssl::UniquePtr<CRYPTO_BUFFER> buffer(
      CRYPTO_BUFFER_new(reinterpret_cast<const uint8_t*>(staple.data()), staple.size(), nullptr));
  if (!buffer || !SSL_CREDENTIAL_set1_ocsp_response(credential.get(), buffer.get())) return nullptr;
  return credential;
}

Interned<Context>& interned() {
  static Interned<Context> all;
  return all;
}

}  // namespace

std::string Context::to_alpn_wire(const std::vector<std::string>& names) {
  std::string wire;
  for (const std::string& name : names) {
    wire += static_cast<char>(name.size());
    wire += name;
  }
  return wire;
}

void Context::log_made(const Context& context, const ContextConfig& config) {
  const bool is_server = context.role() == Role::kServer;
  const std::string_view trusted =
      config.validation ? std::string_view(config.validation->trusted_ca_source) : "";
  if (context.identities().empty()) {
    log::debug(log::kTls, "context made",
               {{"role", is_server ? "server" : "client"}, {"trusted_ca", trusted}});
  }
  for (const Identity& identity : context.identities()) {
    log::debug(log::kTls, "context made",
               {{"role", is_server ? "server" : "client"},
                {"certificate", identity.source},
                {"identity", identity.uri_san.empty() ? identity.subject : identity.uri_san},
                {"trusted_ca", trusted}});
  }
}

Result<std::shared_ptr<const Context>> Context::make(const ContextConfig& config) {
  const std::string key = fingerprint(config);
  Interned<Context>& all = interned();
  const std::lock_guard lock(all.mutex);
  if (auto context = all.find(key)) return context;
  std::shared_ptr<Context> made(new Context(config));
  if (auto ok = made->build(config); !ok) {
    ERR_clear_error();
    return Error{ok.error()};
  }
  all.put(key, made);
  log_made(*made, config);
  return std::shared_ptr<const Context>(std::move(made));
}

Context::Context(const ContextConfig& config)
    : role_(config.role),
      require_sni_(config.require_sni),
      auto_host_sni_(config.auto_host_sni),
      auto_sni_san_validation_(config.auto_sni_san_validation),
      lacks_certificate_(config.lacks_certificate),
      sni_(config.sni),
      alpn_wire_(to_alpn_wire(config.alpn)),
      tickets_(issues_tickets(config) ? config.ticket_keyring : nullptr),
      session_timeout_(config.session_timeout),
      sessions_(keeps_sessions(config) ? std::make_unique<SessionStore>(config.max_session_keys)
                                       : nullptr) {}

Context::~Context() {
  for (const Identity& identity : identities_) {
    SSL_CREDENTIAL_free(identity.credential);
    SSL_CREDENTIAL_free(identity.stapled);
  }
  SSL_CTX_free(ssl_ctx_);
}

Status<> Context::build(const ContextConfig& config) {
  ssl_ctx_ = SSL_CTX_new(TLS_with_buffers_method());
  if (ssl_ctx_ == nullptr) return Error{"out of memory"};
  SSL_CTX_set0_buffer_pool(ssl_ctx_, certificate_pool());
  SSL_CTX_set_max_cert_list(ssl_ctx_, kMaxChainBytes);
  auto verifier = Verifier::make(config.validation, role_);
  if (!verifier) return Error{str("trusted_ca or crl: ", verifier.error())};
  verifier_ = std::move(*verifier);
  if (auto ok = set_parameters(config); !ok) return ok;
  for (const CertificateConfig& c : config.certificates) {
    if (auto ok = add_certificate(c, config.ocsp_policy); !ok)
      return Error{str(c.source, ": ", ok.error())};
  }
  if (role_ == Role::kServer && !shows_certificate()) return Error{"a server needs a certificate"};
  staples_ = std::any_of(identities_.begin(), identities_.end(), [](const Identity& identity) {
    return identity.stapled != nullptr || identity.policy == OcspPolicy::kMust;
  });
  if (config.key_log) {
    auto log = KeyLog::open(*config.key_log);
    if (!log) return Error{str("key_log: ", log.error())};
    key_log_ = std::move(*log);
  }
  set_client_certificate_request(config);
  install_callbacks(*ssl_ctx_, config);
  if (!set_up_resumption(*ssl_ctx_, config, session_context(config, identities_)))
    return Error{"out of memory"};
  return Ok{};
}

Status<> Context::set_parameters(const ContextConfig& config) {
  SSL_CTX_set_min_proto_version(ssl_ctx_, static_cast<uint16_t>(config.min_version));
  SSL_CTX_set_max_proto_version(ssl_ctx_, static_cast<uint16_t>(config.max_version));
  const std::string ciphers =
      config.cipher_suites.empty() ? kDefaultCiphers : join(config.cipher_suites);
  if (!SSL_CTX_set_strict_cipher_list(ssl_ctx_, ciphers.c_str())) {
    return Error{str("cipher_suites: ", take_reason(), " in ", ciphers)};
  }
  const std::string groups = config.groups.empty() ? kDefaultGroups : join(config.groups);
  if (!SSL_CTX_set1_groups_list(ssl_ctx_, groups.c_str())) {
    return Error{str("ecdh_curves: ", take_reason(), " in ", groups)};
  }
  if (!config.signature_algorithms.empty()) {
    const std::string list = join(config.signature_algorithms);
    if (!SSL_CTX_set1_sigalgs_list(ssl_ctx_, list.c_str())) {
      return Error{str("signature_algorithms: ", take_reason(), " in ", list)};
    }
  }
  SSL_CTX_set_options(ssl_ctx_, SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(ssl_ctx_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (role_ == Role::kClient && !alpn_wire_.empty()) {
    SSL_CTX_set_alpn_protos(ssl_ctx_, reinterpret_cast<const uint8_t*>(alpn_wire_.data()),
                            alpn_wire_.size());
  }
  return Ok{};
}

Status<> Context::add_certificate(const CertificateConfig& config, OcspPolicy policy) {
  auto chain = parse_certificates(config.chain_pem);
  if (!chain) return Error{chain.error()};
  auto key = parse_private_key(config.key_pem);
  if (!key) return Error{key.error()};
  if (auto ok = check_key_matches(*chain->front(), **key); !ok) return ok;
  std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> owned;
  std::vector<CRYPTO_BUFFER*> buffers;
  Identity identity;
  for (const X509Ptr& c : *chain) {
    uint8_t* der = nullptr;
    const int size = i2d_X509(c.get(), &der);
    if (size <= 0) return Error{"a certificate cannot be encoded"};
    owned.emplace_back(CRYPTO_BUFFER_new(der, static_cast<size_t>(size), certificate_pool()));
    OPENSSL_free(der);
    buffers.push_back(owned.back().get());
    identity.chain.push_back(describe(*c));
  }
  const CertificateInfo& leaf = identity.chain.front();
  identity.uri_san = leaf.first(SanType::kUri);
  identity.subject = leaf.subject;
  identity.certificate = make_peer_certificate(leaf, *chain->front(), nullptr);
  identity.source = config.source;
  for (const San& san : leaf.sans) {
    if (san.type == SanType::kDns) identity.dns_names.push_back(san.text);
  }
  identity.policy = must_be_stapled(*chain->front()) ? OcspPolicy::kMust : policy;
  CredentialPtr plain = make_credential(buffers, key->get(), {});
  CredentialPtr stapled;
  if (!config.ocsp_staple.empty()) {
    auto staple = parse_ocsp_response(config.ocsp_staple, *chain->front());
    if (!staple) return Error{staple.error()};
    identity.staple = std::move(*staple);
    stapled = make_credential(buffers, key->get(), identity.staple.der);
  }
  if (!plain || (!stapled && !identity.staple.der.empty()) ||
      !SSL_CTX_add1_credential(ssl_ctx_, plain.get())) {
    return Error{str("the certificate cannot be used: ", take_reason())};
  }
  identity.credential = plain.release();
  identity.stapled = stapled.release();
  identities_.push_back(std::move(identity));
  return Ok{};
}

void Context::set_client_certificate_request(const ContextConfig& config) {
  if (role_ != Role::kServer || !config.validation) return;
  bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> names(sk_CRYPTO_BUFFER_new_null());
  for (const std::string& der : verifier_->ca_names()) {
    bssl::PushToStack(names.get(),
                      bssl::UniquePtr<CRYPTO_BUFFER>(CRYPTO_BUFFER_new(
                          reinterpret_cast<const uint8_t*>(der.data()), der.size(), nullptr)));
  }
  SSL_CTX_set0_client_CAs(ssl_ctx_, names.release());
}

const Context::Identity* Context::identity_of(const ssl_credential_st* credential) const noexcept {
  if (credential == nullptr) return nullptr;
  for (const Identity& identity : identities_) {
    if (identity.credential == credential || identity.stapled == credential) return &identity;
  }
  return nullptr;
}

namespace {

bool covers(const Context::Identity& identity, std::string_view sni) {
  return std::any_of(identity.dns_names.begin(), identity.dns_names.end(),
                     [sni](const std::string& name) { return dns_name_covers(name, sni); });
}

// Envoy's decision for a client that asks for an OCSP response; null: this one cannot be used.
ssl_credential_st* for_stapling(const Context::Identity& identity, int64_t now) {
  if (identity.staple.is_good(now)) return identity.stapled;
  switch (identity.policy) {
    case OcspPolicy::kLenient:
      return identity.credential;
    case OcspPolicy::kStrict:
      return identity.stapled == nullptr ? identity.credential : nullptr;
    case OcspPolicy::kMust:
      return nullptr;
  }
  UNREACHABLE();
}

}  // namespace

Context::Selection Context::select_certificates(ssl_st& ssl, std::string_view sni,
                                                bool wants_staple, int64_t now) const {
  const auto is_for = [sni](const Identity& identity) { return covers(identity, sni); };
  const bool narrow = identities_.size() > 1 && !sni.empty() &&
                      std::any_of(identities_.begin(), identities_.end(), is_for);
  // Without any that covers the name all stay; the first that the client can use is taken.
  const bool may_staple = wants_staple && staples_;
  if (!narrow && !may_staple) return Selection::kPlain;
  SSL_certs_clear(&ssl);
  Selection selection = Selection::kLacksStaple;
  for (const Identity& identity : identities_) {
    if (narrow && !is_for(identity)) continue;
    ssl_credential_st* credential = may_staple ? for_stapling(identity, now) : identity.credential;
    if (credential == nullptr) continue;
    if (!SSL_add1_credential(&ssl, credential)) return Selection::kFailed;
    const Selection this_one =
        credential == identity.stapled ? Selection::kStapled : Selection::kPlain;
    if (selection == Selection::kLacksStaple) selection = this_one;
  }
  return selection;
}

}  // namespace pillion::tls
