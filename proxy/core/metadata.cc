#include "proxy/core/metadata.h"

#include "proxy/base/json.h"
#include "proxy/base/json_writer.h"

namespace pillion::core {
namespace {

void write_json(JsonWriter& json, const MetadataValue& value) {
  switch (value.kind) {
    case MetadataValue::Kind::kNull:
      json.null();
      return;
    case MetadataValue::Kind::kBool:
      json.value(value.boolean);
      return;
    case MetadataValue::Kind::kNumber:
      json.value(value.number);
      return;
    case MetadataValue::Kind::kString:
      json.value(value.text);
      return;
    case MetadataValue::Kind::kList:
      json.begin_array();
      for (const MetadataMember* m = value.first; m != nullptr; m = m->next)
        write_json(json, m->value);
      json.end_array();
      return;
    case MetadataValue::Kind::kStruct:
      json.begin_object();
      for (const MetadataMember* m = value.first; m != nullptr; m = m->next)
        write_json(json.key(m->key), m->value);
      json.end_object();
      return;
  }
}

// The value under `key`, made if it is not there.
MetadataValue& value_at(Arena& arena, MetadataMember*& first, std::string_view key) {
  MetadataMember** link = &first;
  for (; *link != nullptr; link = &(*link)->next) {
    if ((*link)->key == key) return (*link)->value;
  }
  *link = arena.create<MetadataMember>(MetadataMember{key, {}, nullptr});
  return (*link)->value;
}

}  // namespace

MetadataValue MetadataValue::of(bool value) noexcept {
  MetadataValue out;
  out.kind = Kind::kBool;
  out.boolean = value;
  return out;
}

MetadataValue MetadataValue::of(double value) noexcept {
  MetadataValue out;
  out.kind = Kind::kNumber;
  out.number = value;
  return out;
}

MetadataValue MetadataValue::of(std::string_view value) noexcept {
  MetadataValue out;
  out.kind = Kind::kString;
  out.text = value;
  return out;
}

const MetadataValue* MetadataValue::find(std::string_view key) const noexcept {
  if (kind != Kind::kStruct) return nullptr;
  for (const MetadataMember* m = first; m != nullptr; m = m->next) {
    if (m->key == key) return &m->value;
  }
  return nullptr;
}

void Metadata::set(Arena& arena, std::string_view space, std::string_view key,
                   const MetadataValue& value) {
  MetadataValue& fields = value_at(arena, first_, space);
  fields.kind = MetadataValue::Kind::kStruct;
  value_at(arena, fields.first, key) = value;
}

const MetadataValue* Metadata::find(std::string_view space,
                                    std::span<const std::string> path) const noexcept {
  const MetadataValue* value = nullptr;
  for (const MetadataMember* m = first_; m != nullptr && value == nullptr; m = m->next) {
    if (m->key == space) value = &m->value;
  }
  for (const std::string& key : path) {
    if (value == nullptr) return nullptr;
    value = value->find(key);
  }
  return value;
}

MetadataValue metadata_of(const Json& json, Arena& arena) {
  MetadataValue out;
  MetadataMember** link = &out.first;
  const auto add = [&](std::string_view key, const Json& value) {
    *link = arena.create<MetadataMember>(
        MetadataMember{arena.copy(key), metadata_of(value, arena), nullptr});
    link = &(*link)->next;
  };
  switch (json.kind()) {
    case Json::Kind::kMissing:
    case Json::Kind::kNull:
      break;
    case Json::Kind::kBool:
      return MetadataValue::of(json.as_bool());
    case Json::Kind::kNumber:
      return MetadataValue::of(json.as_double());
    case Json::Kind::kString:
      return MetadataValue::of(arena.copy(json.as_string()));
    case Json::Kind::kArray:
      out.kind = MetadataValue::Kind::kList;
      for (const Json& item : json.items()) add({}, item);
      break;
    case Json::Kind::kObject:
      out.kind = MetadataValue::Kind::kStruct;
      for (const auto& [key, value] : json.entries()) add(key, value);
      break;
  }
  return out;
}

void append_text(std::string& out, const MetadataValue& value) {
  if (value.kind == MetadataValue::Kind::kString) {
    out += value.text;
    return;
  }
  JsonWriter json(out, JsonWriter::Style::kCompact);
  write_json(json, value);
}

}  // namespace pillion::core
