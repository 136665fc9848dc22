#include "proxy/admin/config_json.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "proxy/base/str.h"

namespace pillion::admin {
namespace {

// Fields of Envoy's v3 API that carry (udpa.annotations.sensitive), and of our own extensions.
constexpr std::array kSecretFields = {std::string_view("private_key"),
                                      std::string_view("password"),
                                      std::string_view("session_ticket_keys"),
                                      std::string_view("generic_secret"),
                                      std::string_view("token_secret"),
                                      std::string_view("hmac_secret"),
                                      std::string_view("client_secret"),
                                      std::string_view("private_key_provider"),
                                      std::string_view("inline_users"),
                                      std::string_view("users"),
                                      std::string_view("auth_token"),
                                      std::string_view("access_token"),
                                      std::string_view("api_key"),
                                      std::string_view("pkcs12"),
                                      std::string_view("initial_metadata"),
                                      std::string_view("call_credentials")};
constexpr std::array kPlaces = {std::string_view("filename"),
                                std::string_view("environment_variable"),
                                std::string_view("@type")};

template <size_t N>
bool is_one_of(std::string_view key, const std::array<std::string_view, N>& fields) {
  return std::any_of(fields.begin(), fields.end(),
                     [key](std::string_view field) { return is_field(key, field); });
}

bool is_json_number(std::string_view s) {
  size_t i = 0;
  const auto digits = [&] {
    const size_t begin = i;
    while (i < s.size() && s[i] >= '0' && s[i] <= '9') ++i;
    return i > begin;
  };
  if (i < s.size() && s[i] == '-') ++i;
  if (i + 1 < s.size() && s[i] == '0' && s[i + 1] >= '0' && s[i + 1] <= '9') return false;
  if (!digits()) return false;
  if (i < s.size() && s[i] == '.') {
    ++i;
    if (!digits()) return false;
  }
  if (i < s.size() && (s[i] == 'e' || s[i] == 'E')) {
    ++i;
    if (i < s.size() && (s[i] == '+' || s[i] == '-')) ++i;
    if (!digits()) return false;
  }
  return i == s.size();
}

bool is_secret_below(std::string_view key, bool is_secret) {
  return is_secret ? !is_one_of(key, kPlaces) : is_one_of(key, kSecretFields);
}

bool holds(const config::Value& value, bool is_secret) {
  if (value.kind == config::Kind::kScalar) return is_secret;
  if (value.kind == config::Kind::kNull) return false;
  for (const config::Value* v = value.first_child; v != nullptr; v = v->next) {
    const bool is_mapping = value.kind == config::Kind::kMapping;
    if (holds(*v, is_mapping ? is_secret_below(v->key->text, is_secret) : is_secret)) return true;
  }
  return false;
}

void write_scalar(JsonWriter& json, const config::Value& value, bool is_secret) {
  const std::string_view text = value.scalar();
  if (is_secret) {
    json.value(kRedacted);
  } else if (!value.is_quoted && (text == "true" || text == "false" || is_json_number(text))) {
    json.raw(text);
  } else {
    json.value(text);
  }
}

}  // namespace

bool is_field(std::string_view key, std::string_view field) {
  size_t i = 0;
  for (size_t f = 0; f < field.size(); ++f, ++i) {
    if (i == key.size()) return false;
    if (key[i] == field[f]) continue;
    // "_x" in the field is "X" in the key.
    if (field[f] != '_' || f + 1 == field.size() || to_lower(key[i]) != field[f + 1]) return false;
    ++f;
  }
  return i == key.size();
}
void ValueWriter::begin_fields(const config::Value& mapping, const FieldMask::Node* mask) {
  open_.clear();
  const bool is_mapping = mapping.kind == config::Kind::kMapping;
  open_.push_back({is_mapping ? mapping.first_child : nullptr, mask, true, false});
}

bool ValueWriter::step(size_t values) {
  while (!open_.empty()) {
    Frame& frame = open_.back();
    const config::Value* value = frame.next;
    if (value == nullptr) {
      if (open_.size() > 1) frame.is_mapping ? json_.end_object() : json_.end_array();
      open_.pop_back();
      continue;
    }
    if (values == 0) return true;
    --values;
    frame.next = value->next;
    if (!frame.is_mapping) {
      write(*value, nullptr, frame.is_secret);
      continue;
    }
    const std::string_view key = value->key->text;
    const FieldMask::Node* below = nullptr;
    if (!shows(frame.mask, key, below)) continue;
    json_.key(key);
    write(*value, below, is_secret_below(key, frame.is_secret));
  }
  return false;
}

// A container is only opened.
void ValueWriter::write(const config::Value& value, const FieldMask::Node* mask, bool is_secret) {
  switch (value.kind) {
    case config::Kind::kNull:
      json_.null();
      return;
    case config::Kind::kScalar:
      return write_scalar(json_, value, is_secret);
    case config::Kind::kSequence:
      json_.begin_array();
      open_.push_back({value.first_child, nullptr, false, is_secret});
      return;
    case config::Kind::kMapping:
      json_.begin_object();
      open_.push_back({value.first_child, mask, true, is_secret});
      return;
  }
}

void write_redacted_fields(JsonWriter& json, const config::Value& mapping) {
  ValueWriter writer(json);
  writer.begin_fields(mapping, nullptr);
  while (writer.step(SIZE_MAX)) {
  }
}

void write_redacted(JsonWriter& json, const config::Value& value) {
  switch (value.kind) {
    case config::Kind::kNull:
      json.null();
      return;
    case config::Kind::kScalar:
      return write_scalar(json, value, false);
    case config::Kind::kMapping:
      json.begin_object();
      write_redacted_fields(json, value);
      json.end_object();
      return;
    case config::Kind::kSequence:
      json.begin_array();
      for (const config::Value* v = value.first_child; v != nullptr; v = v->next)
        write_redacted(json, *v);
      json.end_array();
      return;
  }
}

bool holds_secret(const config::Value& value) { return holds(value, false); }

}  // namespace pillion::admin
