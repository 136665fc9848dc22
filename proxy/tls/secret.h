#pragma once
// Secrets: certificates with their keys, trusted CAs, ticket keys and other texts that a
// configuration names, and that change without it (Envoy's
// extensions.transport_sockets.tls.v3.Secret).
//
// Values.  A Secret never changes once it is shared; a rotation is another Secret under the same
// name.  Nothing here may reach a log, a dump or a message, but for names and sources.

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/config/grpc_service.h"
#include "proxy/config/node.h"
#include "proxy/tls/context_config.h"

namespace pillion::tls {

enum class SecretKind : uint8_t { kCertificate, kValidation, kTicketKeys, kGeneric };
// "tls_certificate": as the field of envoy's Secret is called.
std::string_view to_string(SecretKind kind) noexcept;

// TlsSessionTicketKeys: 80 bytes each; the first one encrypts, all decrypt.
struct TicketKeys {
  std::vector<std::array<uint8_t, 80>> keys;
};

// GenericSecret: `secret` is under "".
struct GenericSecret {
  std::map<std::string, std::string, std::less<>> texts;
};

struct Secret {
  // In the order of SecretKind.
  std::variant<CertificateConfig, ValidationConfig, TicketKeys, GenericSecret> value;

  [[nodiscard]] SecretKind kind() const noexcept { return static_cast<SecretKind>(value.index()); }
};
using SecretPtr = std::shared_ptr<const Secret>;

// Where secrets come from.  Immutable; sources with the same key are one.
struct SecretSource {
  struct Static {};  // static_resources.secrets
  // The files of one certificate (chain, key) or of one validation context (ca, crl); empty: none.
  struct Files {
    std::string chain, key, ca, crl;
    std::string watched_directory;  // empty: the files themselves
  };
  // path_config_source: a file that holds a DiscoveryResponse.
  struct Path {
    std::string path;
    std::string watched_directory;
  };
  struct Grpc {
    config::GrpcService service;  // StreamSecrets of a cluster
  };
  struct Ads {};
  // An entry of the bootstrap's certificate_provider_instances: whatever certs/ has.
  struct Instance {
    std::string name;
  };

  std::string key;  // tells sources apart: "static", "sds/CLUSTER ...", "files/..."
  std::variant<Static, Files, Path, Grpc, Ads, Instance> how;
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
  // initial_fetch_timeout: how long its absence holds up a configuration that is new; 0: for ever.
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

// As protobuf's MergeFrom puts a CertificateValidationContext of SDS over the default one
// (CombinedCertificateValidationContext): lists are joined, and what is set in `over` wins.
ValidationConfig merge(const ValidationConfig& base, const ValidationConfig& over);

// A secret as a message: Envoy's Secret, or one that a source gave in another form and that is
// written as such.  Errors go to the node's list, with places and without contents; null then.
// `name` gets its name.  Files that it names are read now and noted in the list of errors.
SecretPtr parse_secret(const config::Node& node, std::string& name);

}  // namespace pillion::tls
