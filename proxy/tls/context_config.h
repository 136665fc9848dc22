#pragma once
// What a TLS context is made of, as configured: Envoy v3's DownstreamTlsContext and
// UpstreamTlsContext (extensions.transport_sockets.tls.v3), with all files already read.
//
// Differences from Envoy, on purpose: TLS 1.3 is the default both ways and 1.2 is spoken where it
// is configured; the hybrid X25519MLKEM768 is offered first.  Sessions resume by tickets only,
// under rules of their own (resumption.h).

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/config/node.h"
#include "proxy/tls/data_source.h"
#include "proxy/tls/key_log.h"
#include "proxy/tls/san_matcher.h"

namespace pillion::tls {

class TicketKeyring;

enum class Role : uint8_t { kServer, kClient };
enum class Version : uint16_t { kTls12 = 0x0303, kTls13 = 0x0304 };  // as on the wire

struct CertificateConfig {
  std::string chain_pem;  // leaf first
  std::string key_pem;
  std::string source;         // file name or "<inline>", for /certs
  std::string ocsp_staple{};  // DER; empty: none
};

// What a server does when a client asks for an OCSP response (ocsp_staple_policy): kLenient, sends
// one while it is good; kStrict, does not use a certificate whose response has expired; kMust, nor
// one without a response.
enum class OcspPolicy : uint8_t { kLenient, kStrict, kMust };

using Sha256 = std::array<uint8_t, 32>;

// The bundle of one SPIFFE trust domain (SPIFFECertValidatorConfig.TrustDomain).
struct TrustDomain {
  std::string name;  // "mesh.local"
  std::string pem;
};

inline constexpr uint32_t kDefaultVerifyDepth = 100;
inline constexpr std::chrono::hours kDefaultSessionTimeout(2);
inline constexpr std::chrono::hours kMaxSessionTimeout(7 * 24);  // RFC 8446, 4.6.1

// CertificateValidationContext.
struct ValidationConfig {
  std::string trusted_ca_pem;  // empty: chains are not verified
  std::string trusted_ca_source;
  // Instead of trusted_ca: each peer must have a SPIFFE id, and its chain must lead to the bundle
  // of its own trust domain.
  std::vector<TrustDomain> trust_domains;
  std::string crl_pem;                     // empty: revocation is not checked
  std::vector<SanMatcher> sans;            // empty: any name; else one must match
  std::vector<Sha256> certificate_hashes;  // these two lists: empty, or one entry must match
  std::vector<Sha256> spki_hashes;
  std::optional<uint32_t> max_verify_depth;  // authorities between leaf and anchor
  bool crl_leaf_only = false;
  bool allow_expired = false;
  bool accept_untrusted = false;  // trust_chain_verification: ACCEPT_UNTRUSTED
  bool suppress_client_ca_list = false;
};

struct ContextConfig {
  Role role = Role::kServer;
  Version min_version = Version::kTls13;
  Version max_version = Version::kTls13;
  std::vector<std::string> cipher_suites;  // of TLS 1.2; empty: Envoy's default list
  std::vector<std::string> groups;         // ecdh_curves; empty: X25519MLKEM768, X25519, P-256
  std::vector<std::string> signature_algorithms;  // empty: BoringSSL's
  std::vector<std::string> alpn;                  // in order of preference
  std::vector<CertificateConfig> certificates;
  std::optional<ValidationConfig> validation;
  std::optional<KeyLogConfig> key_log;
  // A file of a certificate could not be read, which was reported.  The Context made of it cannot
  // serve; it tells `pillion explain` what was meant.
  bool lacks_certificate = false;
  // Servers.
  bool require_client_certificate = false;
  bool require_sni = false;
  OcspPolicy ocsp_policy = OcspPolicy::kLenient;
  bool resumes_sessions = true;  // not with disable_stateless_session_resumption
  // Since the peer proved its key in a full handshake.
  std::chrono::seconds session_timeout = kDefaultSessionTimeout;
  // The keys of session tickets; null: no tickets, but for those that a ContextSlot has of its own.
  std::shared_ptr<const TicketKeyring> ticket_keyring;
  // Clients.
  uint32_t max_session_keys = 1;  // of each server and name; 0: nothing is resumed
  std::string sni;
  bool auto_host_sni = false;            // SNI is the endpoint's host name
  bool auto_sni_san_validation = false;  // the peer must have the SNI as a DNS SAN
};

struct SecretRefs;  // secret.h

// TlsCertificate: chain and key are good and belong together, or there was an error.
CertificateConfig parse_certificate(const config::Node& node, FileUse files = FileUse::kPart);
// Could a server under this policy show it to those who ask for an OCSP response?  Not if it needs
// one (MUST_STAPLE, or its TLS feature extension) and has none.  The error names the certificate.
Status<> check_ocsp_policy(const CertificateConfig& certificate, OcspPolicy policy);
// CertificateValidationContext; a part is completed by another one (merge).
enum class Completeness : uint8_t { kWhole, kPart };
ValidationConfig parse_validation(const config::Node& node, FileUse files = FileUse::kPart,
                                  Completeness completeness = Completeness::kWhole);

// Errors go to the node's list; the result is then good for nothing but further parsing.
// `secrets`: gets what the context takes from secrets (SDS, static ones, files that are watched);
// null: secrets are refused, and files are read now and for good.
ContextConfig parse_downstream_tls_context(const config::Node& node, SecretRefs* secrets = nullptr);
ContextConfig parse_upstream_tls_context(const config::Node& node, SecretRefs* secrets = nullptr);

}  // namespace pillion::tls
