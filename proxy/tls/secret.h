#pragma once
// Secrets: certificates with their keys, trusted CAs, ticket keys and other texts that a
// configuration names, and that change without it (Envoy's
// extensions.transport_sockets.tls.v3.Secret).
//
// A Secret never changes once it is made (std::make_shared<const Secret>(...)) and is shared by
// pointer; a rotation is another Secret under the same name.  Nothing here may reach a log, a dump
// or a message, but for names and sources.

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"
#include "proxy/config/grpc_service.h"
#include "proxy/config/node.h"
#include "proxy/tls/context_config.h"
#include "proxy/tls/issue.h"

namespace pillion::tls {

enum class SecretKind : uint8_t { kCertificate, kValidation, kTicketKeys, kGeneric };
// "tls_certificate": as the field of envoy's Secret is called.
std::string_view to_string(SecretKind kind) noexcept;

// TlsSessionTicketKeys: 80 bytes each; the first one encrypts, all decrypt.  Overwritten when it
// dies.
struct TicketKeys {
  std::vector<std::array<uint8_t, 80>> keys;

  TicketKeys() = default;
  TicketKeys(TicketKeys&&) = default;
  TicketKeys& operator=(TicketKeys&&) = default;
  ~TicketKeys();
};

// GenericSecret: `secret` is under "".
struct GenericSecret {
  std::map<std::string, std::string, std::less<>> texts;
};

// Keys are overwritten when it dies.
struct Secret {
  // In the order of SecretKind.
  using Value = std::variant<CertificateConfig, ValidationConfig, TicketKeys, GenericSecret>;
  Value value;

  template <typename T>
  explicit Secret(T one) : value(std::in_place_type<T>, std::move(one)) {}
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();
  [[nodiscard]] SecretKind kind() const noexcept { return static_cast<SecretKind>(value.index()); }
};
using SecretPtr = std::shared_ptr<const Secret>;
// Does it say the same?  Where it comes from is not looked at.
bool same_contents(const Secret& a, const Secret& b);

// Where secrets come from.  Immutable; sources with the same key are one.
struct SecretSource {
  struct Static {};  // static_resources.secrets
  // The files of one certificate (chain, key, staple: an OCSP response) or of one validation
  // context (ca, crl); empty: none.
  struct Files {
    std::string chain, key, ca, crl;
    std::string staple{};
  };
  // path_config_source: a file that holds a DiscoveryResponse.
  struct Path {
    std::string path;
  };
  struct Grpc {
    config::GrpcService service;  // StreamSecrets of a cluster
  };
  struct Ads {};
  // The SPIFFE Workload API of a cluster, by certificate_provider_instances (parse_provider.cc).
  struct Spiffe {
    config::Located<std::string> cluster;
    std::string trust_domain;  // of our identity; empty: any
  };
  // A CA that signs requests, in the same way.
  struct Authority {
    config::Located<std::string> cluster;
    std::string authority;  // empty: the cluster's name
    std::string token_file;
    std::string ca_file;   // whom to trust; empty: the root that the CA tells
    std::string identity;  // asked for; a CA may go by the token alone
    std::string trust_domain;
    Duration ttl = std::chrono::hours(24);
    KeyType key = KeyType::kP256;
  };

  std::string key;  // tells sources apart: "static", "sds/CLUSTER ...", "files/..."
  std::variant<Static, Files, Path, Grpc, Ads, Spiffe, Authority> how;
};
using SecretSourcePtr = std::shared_ptr<const SecretSource>;

// What a secret is known by.
struct SecretName {
  std::string source;  // SecretSource::key
  SecretKind kind = SecretKind::kCertificate;
  std::string name;  // within its source
  auto operator<=>(const SecretName&) const = default;
};

// Somebody's need of a secret.
struct SecretRef {
  SecretSourcePtr source;  // never null
  SecretKind kind = SecretKind::kCertificate;
  std::string name;
  // initial_fetch_timeout: how long its absence holds up a configuration that is new.  0, which is
  // what Istio says: 15 s too, for all that comes later waits behind it, but the process is not
  // ready before the secret is there.
  Duration timeout = std::chrono::seconds(15);
  // What was found when the configuration was read (static secrets, files); null: not looked yet.
  SecretPtr initial;

  [[nodiscard]] SecretName key() const { return {source->key, kind, name}; }
};

// What a TLS context needs beside its own text, in order.
struct SecretRefs {
  std::vector<SecretRef> certificates;
  // With ContextConfig::validation: merged over it.  Until it is there nobody is verified, and
  // nobody is let in.
  std::optional<SecretRef> validation;
  std::optional<SecretRef> ticket_keys;

  [[nodiscard]] bool empty() const noexcept {
    return certificates.empty() && !validation && !ticket_keys;
  }
};
template <typename Fn>
void for_each_ref(const SecretRefs& refs, Fn&& fn) {
  for (const SecretRef& ref : refs.certificates) fn(ref);
  if (refs.validation) fn(*refs.validation);
  if (refs.ticket_keys) fn(*refs.ticket_keys);
}

// Envoy's Secret.  Errors go to the node's list, with places and without contents; null then.
// `name` gets its name.  Files that it names are read now and noted in the list of errors.
SecretPtr parse_secret(const config::Node& node, std::string& name);

// TlsSessionTicketKeys: at least one key, each of 80 bytes.
TicketKeys parse_ticket_keys(const config::Node& node);

// CertificateProviderPluginInstance (`instance_name`, `certificate_name`): an entry of the same
// file's certificate_provider_instances and a name within it.
std::optional<SecretRef> parse_provider_ref(const config::Node& node, SecretKind kind,
                                            std::string_view default_name);
// Such an entry, a TypedExtensionConfig of a source that certs/ has.
SecretSourcePtr parse_provider(const config::Node& node);

// SdsSecretConfig: whose secret is meant.  Without sds_config a static one.  Sources that are not
// supported are refused by name; null without a name or source.
std::optional<SecretRef> parse_secret_ref(const config::Node& node, SecretKind kind);
// static_resources.secrets of the file that `node` stands in; null if it has none of that name.
SecretPtr find_static_secret(const config::Node& node, std::string_view name, SecretKind kind);

// The secret that stands in files, read now: of Files::chain, key and staple, or of ca and crl.  An
// error is a sentence without contents that names the file: what does not belong together, is cut
// short, or gone.
Result<SecretPtr> read_secret_files(const SecretSource::Files& files);
// A source of its own for these files; equal files are the same source.
SecretRef make_files_ref(SecretSource::Files files, SecretKind kind, SecretPtr initial);

}  // namespace pillion::tls
