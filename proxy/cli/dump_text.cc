#include "proxy/cli/dump_text.h"

#include "proxy/base/json_writer.h"

namespace pillion::cli {
namespace {

// What a dump has in place of a secret, and the same as base64.
constexpr std::string_view kRedacted[] = {"[redacted]", "W3JlZGFjdGVkXQ=="};

bool is_redacted(const Json& value) {
  for (const Json& item : value.items()) {
    if (is_redacted(item)) return true;
  }
  for (const auto& [key, field] : value.entries()) {
    if (is_redacted(field)) return true;
  }
  const std::string_view text = value.as_string();
  return text == kRedacted[0] || text == kRedacted[1];
}

class TextOfDump {
 public:
  TextOfDump(std::string& out, const FindExtension& find_extension)
      : json_(out), find_extension_(find_extension) {}

  void resource(const Json& message) {
    json_.begin_object();
    for (const auto& [key, field] : message.entries()) {
      if (key != "@type") member(message, key, field);
    }
    json_.end_object();
  }

 private:
  void value(const Json& any) {
    if (any.is_object()) {
      json_.begin_object();
      for (const auto& [key, field] : any.entries()) member(any, key, field);
      json_.end_object();
    } else if (any.is_array()) {
      json_.begin_array();
      for (const Json& item : any.items()) value(item);
      json_.end_array();
    } else {
      json_.raw(any.dump());
    }
  }

  void member(const Json& owner, std::string_view key, const Json& field) {
    if (key == "tls_certificates" && is_redacted(field)) return certificates(field);
    if (key == "config_discovery" && discovered(owner)) return;
    const bool is_reference = key == "tls_certificate_sds_secret_configs" ||
                              key == "validation_context_sds_secret_config";
    if (is_reference) {
      json_.key(key);
      return references(field);
    }
    const bool is_leaf = !field.is_array() && !field.is_object();
    const bool is_secret = is_leaf ? is_redacted(field) : is_secret_field(key, field);
    if (is_secret) return;
    json_.key(key);
    value(field);
  }

  // Whole messages that make no sense without their secret.
  static bool is_secret_field(std::string_view key, const Json& field) {
    constexpr std::string_view kFields[] = {
        "initial_metadata", "call_credentials",     "session_ticket_keys",
        "private_key",      "private_key_provider", "pkcs12",
        "password"};
    for (const std::string_view one : kFields) {
      if (key == one) return is_redacted(field);
    }
    return false;
  }

  void certificates(const Json& field) {
    json_.key("tls_certificate_sds_secret_configs").begin_array();
    for (size_t i = 0; i < field.size(); ++i) reference("(in the configuration; not shown)");
    json_.end_array();
  }

  void references(const Json& field) {
    if (field.is_array()) {
      json_.begin_array();
      for (const Json& one : field.items()) references(one);
      json_.end_array();
    } else if (field["sds_config"].is_missing()) {
      reference(field["name"].as_string());
    } else {
      value(field);
    }
  }

  void reference(std::string_view name) {
    json_.begin_object().field("name", name).key("sds_config").begin_object();
    json_.key("ads").begin_object().end_object().end_object().end_object();
  }

  bool discovered(const Json& owner) {
    const Json config = find_extension_(owner["name"].as_string());
    if (config.is_missing()) return false;
    json_.key("typed_config");
    value(config);
    return true;
  }

  JsonWriter json_;
  const FindExtension& find_extension_;
};

}  // namespace

std::string dump_text(const Json& resource, const FindExtension& find_extension) {
  std::string out;
  TextOfDump(out, find_extension).resource(resource);
  return out;
}

}  // namespace pillion::cli
