#include "certs/dump.h"

#include "proxy/base/base64.h"
#include "proxy/base/json_writer.h"

namespace pillion::certs {
namespace {

constexpr std::string_view kRedacted = "[redacted]";

void write_bytes(JsonWriter& json, std::string_view field, const std::string& text) {
  json.key(field).begin_object().field("inline_bytes", encode_base64(text)).end_object();
}
void write_redacted(JsonWriter& json, std::string_view field) {
  json.key(field).begin_object().field("inline_bytes", kRedacted).end_object();
}

struct Writer {
  JsonWriter& json;

  void operator()(const tls::CertificateConfig& certificate) const {
    json.key("tls_certificate").begin_object();
    write_bytes(json, "certificate_chain", certificate.chain_pem);
    write_redacted(json, "private_key");
    json.end_object();
  }
  void operator()(const tls::ValidationConfig& validation) const {
    json.key("validation_context").begin_object();
    if (!validation.trusted_ca_pem.empty())
      write_bytes(json, "trusted_ca", validation.trusted_ca_pem);
    if (!validation.crl_pem.empty()) write_bytes(json, "crl", validation.crl_pem);
    if (!validation.trust_domains.empty()) write_trust_domains(validation);
    json.end_object();
  }
  // As Envoy's SPIFFECertValidatorConfig has them.
  void write_trust_domains(const tls::ValidationConfig& validation) const {
    json.key("custom_validator_config").begin_object();
    json.field("name", "envoy.tls.cert_validator.spiffe").key("typed_config").begin_object();
    json.field("@type",
               "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
               "SPIFFECertValidatorConfig");
    json.key("trust_domains").begin_array();
    for (const tls::TrustDomain& domain : validation.trust_domains) {
      json.begin_object().field("name", domain.name);
      write_bytes(json, "trust_bundle", domain.pem);
      json.end_object();
    }
    json.end_array().end_object().end_object();
  }
  void operator()(const tls::TicketKeys& tickets) const {
    json.key("session_ticket_keys").begin_object().key("keys").begin_array();
    for (size_t i = 0; i < tickets.keys.size(); ++i)
      json.begin_object().field("inline_bytes", kRedacted).end_object();
    json.end_array().end_object();
  }
  void operator()(const tls::GenericSecret&) const {
    json.key("generic_secret").begin_object();
    write_redacted(json, "secret");
    json.end_object();
  }
};

}  // namespace

config::DocumentPtr to_document(const std::string& name, const tls::Secret& secret) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().field("name", name);
  std::visit(Writer{json}, secret.value);
  json.end_object();
  config::Errors errors;
  return config::load_text(text, "secret", errors);
}

}  // namespace pillion::certs
