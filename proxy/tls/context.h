#pragma once
// Context: everything that TLS connections with the same parameters share: certificate, key,
// trusted CAs, versions, ALPN.  Wraps an SSL_CTX.
//
// Thread-safe, and immutable but for the sessions that a client may resume.  Made on the control or
// builder thread by make(), used by workers. The same parameters give the same object, so that a
// thousand clusters of a mesh share one; what differs per connection (SNI, expected name) is given
// to TlsTransport.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/tls/context_config.h"
#include "proxy/tls/ocsp.h"
#include "proxy/tls/session_store.h"
#include "proxy/tls/ticket_keyring.h"
#include "proxy/tls/verify.h"

struct ssl_st;
struct ssl_ctx_st;
struct ssl_credential_st;

namespace pillion::tls {

class Context {
 public:
  // A certificate of ours, in use.
  struct Identity {
    std::string uri_san;
    std::string subject;
    std::vector<std::string> dns_names;  // it is chosen for; wildcards as in the certificate
    std::string source;
    std::vector<CertificateInfo> chain;  // for /certs
    std::shared_ptr<const io::PeerCertificate> certificate;
    ssl_credential_st* credential = nullptr;  // owned by the Context
    OcspStaple staple;                        // empty: none
    OcspPolicy policy = OcspPolicy::kLenient;
    ssl_credential_st* stapled = nullptr;  // the same with the OCSP response, if there is one
  };
  // What a server may show to one client.
  enum class Selection : uint8_t { kFailed, kLacksStaple, kPlain, kStapled };

  static Result<std::shared_ptr<const Context>> make(const ContextConfig& config);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  [[nodiscard]] Role role() const noexcept { return role_; }
  [[nodiscard]] ssl_ctx_st* native() const noexcept { return ssl_ctx_; }
  [[nodiscard]] const Verifier& verifier() const noexcept { return *verifier_; }
  [[nodiscard]] bool requires_sni() const noexcept { return require_sni_; }
  [[nodiscard]] bool verifies_names_by_sni() const noexcept { return auto_sni_san_validation_; }
  [[nodiscard]] const std::string& sni() const noexcept { return sni_; }
  [[nodiscard]] bool uses_host_name_as_sni() const noexcept { return auto_host_sni_; }
  // Is there a certificate of ours to show, be it one that could not be read (see ContextConfig)?
  [[nodiscard]] bool shows_certificate() const noexcept {
    return lacks_certificate_ || !identities_.empty();
  }
  // Protocol names as on the wire: length byte and name, in order of preference.
  [[nodiscard]] std::string_view alpn_wire() const noexcept { return alpn_wire_; }
  [[nodiscard]] const std::vector<Identity>& identities() const noexcept { return identities_; }
  // Null unless secrets are to be logged.
  [[nodiscard]] const KeyLog* key_log() const noexcept { return key_log_.get(); }
  // Of a server; null if it makes no session tickets.
  [[nodiscard]] const TicketKeyring* tickets() const noexcept { return tickets_.get(); }
  [[nodiscard]] std::chrono::seconds session_timeout() const noexcept { return session_timeout_; }
  // Of a client; null if it resumes nothing.
  [[nodiscard]] SessionStore* sessions() const noexcept { return sessions_.get(); }
  // The one that a connection used; null without one.
  [[nodiscard]] const Identity* identity_of(const ssl_credential_st* credential) const noexcept;
  // Narrows the certificates of a server connection to those for `sni`, if there are several, and
  // for a client that asks for an OCSP response to those that have what their policy demands.
  // `now`: seconds since 1970.
  Selection select_certificates(ssl_st& ssl, std::string_view sni, bool wants_staple,
                                int64_t now) const;

  // A hash of all parameters, by which Contexts are shared.
  static std::string fingerprint(const ContextConfig& config);
  // "a", "b" -> "\1a\1b"; names of 1-255 bytes.
  static std::string to_alpn_wire(const std::vector<std::string>& names);

 private:
  explicit Context(const ContextConfig& config);
  Status<> build(const ContextConfig& config);
  static void log_made(const Context& context, const ContextConfig& config);
  Status<> add_certificate(const CertificateConfig& config, OcspPolicy policy);
  Status<> set_parameters(const ContextConfig& config);
  void set_client_certificate_request(const ContextConfig& config);

  const Role role_;
  const bool require_sni_;
  const bool auto_host_sni_;
  const bool auto_sni_san_validation_;
  const bool lacks_certificate_;
  bool staples_ = false;  // an OCSP response may be sent, or missed
  const std::string sni_;
  const std::string alpn_wire_;
  const std::shared_ptr<const TicketKeyring> tickets_;
  const std::chrono::seconds session_timeout_;
  const std::unique_ptr<SessionStore> sessions_;
  ssl_ctx_st* ssl_ctx_ = nullptr;
  std::unique_ptr<const Verifier> verifier_;
  std::unique_ptr<const KeyLog> key_log_;
  std::vector<Identity> identities_;
};

}  // namespace pillion::tls
