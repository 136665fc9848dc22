#include "xds/typed_struct.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <map>
#include <set>
#include <string>

#include "xds/proto/schema.h"

namespace pillion::xds {
namespace {

namespace pb = google::protobuf;
using pb::FieldDescriptor;

// Value.kind
constexpr int kStringValue = 3, kStructValue = 5, kListValue = 6;

const pb::Message* member(const pb::Message& value, int number) {
  const pb::Reflection& r = *value.GetReflection();
  const FieldDescriptor* kind = value.GetDescriptor()->FindFieldByNumber(number);
  return r.HasField(value, kind) ? &r.GetMessage(value, kind) : nullptr;
}

// Of a Struct.  As protobuf: the last of two with the same key counts.
std::map<std::string, const pb::Message*> entries(const pb::Message& content) {
  std::map<std::string, const pb::Message*> out;
  const pb::Reflection& r = *content.GetReflection();
  const FieldDescriptor* fields = content.GetDescriptor()->FindFieldByNumber(1);
  for (int i = 0; i < r.FieldSize(content, fields); ++i) {
    const pb::Message& entry = r.GetRepeatedMessage(content, fields, i);
    const pb::Descriptor& type = *entry.GetDescriptor();
    out[entry.GetReflection()->GetString(entry, type.map_key())] =
        &entry.GetReflection()->GetMessage(entry, type.map_value());
  }
  return out;
}

const FieldDescriptor* find_field(const pb::Descriptor& type, const std::string& name) {
  const FieldDescriptor* field = type.FindFieldByName(name);
  return field != nullptr ? field : type.FindFieldByCamelcaseName(name);
}

bool has_own_form(const pb::Descriptor& type) {
  return type.well_known_type() != pb::Descriptor::WELLKNOWNTYPE_UNSPECIFIED;
}

std::string type_url_of(const std::map<std::string, const pb::Message*>& fields) {
  const auto it = fields.find("@type");
  if (it == fields.end()) return {};
  const pb::Message& value = *it->second;
  return value.GetReflection()->GetString(value,
                                          value.GetDescriptor()->FindFieldByNumber(kStringValue));
}

}  // namespace

const pb::Descriptor* TypedStruct::message_named(std::string_view type_url) {
  const pb::Descriptor* type = find_message(type_url.substr(type_url.rfind('/') + 1));
  return type == nullptr || has_own_form(*type) ? nullptr : type;
}

void TypedStruct::write(const pb::Message& content, const pb::Descriptor& type) {
  std::set<const FieldDescriptor*> written;
  for (const auto& [name, value] : entries(content)) {
    if (is_too_much_()) break;
    const FieldDescriptor* field = find_field(type, name);
    if (field != nullptr) {
      // In both of its spellings: which one counts nobody could tell.
      if (!written.insert(field).second) {
        policy_.tell_twice(*field, name);
        continue;
      }
      if (policy_.leaves_out(*field)) continue;
      out_.key(field->name());
      this->field(*value, *field);
    } else if (name == "@type") {  // inside of an Any
      out_.key(name);
      write_value_(*value);
    } else {
      policy_.tell_unknown(type, name);
    }
  }
}

// What is not of the kind that the field wants is written as it is, for the parser to refuse.
void TypedStruct::field(const pb::Message& value, const FieldDescriptor& field) {
  if (field.is_map()) {
    const pb::Message* content = member(value, kStructValue);
    if (content == nullptr) return write_value_(value);
    out_.begin_mapping();
    for (const auto& [name, entry] : entries(*content)) {
      if (is_too_much_()) break;
      out_.key(name);
      single(*entry, *field.message_type()->map_value());
    }
    out_.end();
  } else if (field.is_repeated()) {
    const pb::Message* list = member(value, kListValue);
    if (list == nullptr) return write_value_(value);
    const FieldDescriptor* items = list->GetDescriptor()->FindFieldByNumber(1);
    out_.begin_sequence();
    for (int i = 0; i < list->GetReflection()->FieldSize(*list, items) && !is_too_much_(); ++i)
      single(list->GetReflection()->GetRepeatedMessage(*list, items, i), field);
    out_.end();
  } else {
    single(value, field);
  }
}

void TypedStruct::single(const pb::Message& value, const FieldDescriptor& field) {
  const pb::Message* content = member(value, kStructValue);
  if (content == nullptr || field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE)
    return write_value_(value);
  const pb::Descriptor* type = field.message_type();
  if (type->well_known_type() == pb::Descriptor::WELLKNOWNTYPE_ANY)
    type = message_named(type_url_of(entries(*content)));
  if (type == nullptr || has_own_form(*type)) return write_value_(value);
  out_.begin_mapping();
  if (type->full_name() != "pillion.Refused") write(*content, *type);
  out_.end();
}

}  // namespace pillion::xds
