#include "xds/field_policy.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <utility>

#include "proxy/base/str.h"
#include "proxy/config/node.h"
#include "proxy/config/suggest.h"
#include "xds/proto/schema.h"

namespace pillion::xds {

namespace pb = google::protobuf;
using config::UnknownFields;

config::Where FieldPolicy::place_of(std::string_view field) const {
  config::Where where = config::Node(out_.open_container(), &errors_).where();
  if (!where.path.empty()) where.path += '.';
  where.path += field;
  return where;
}

bool FieldPolicy::leaves_out(const pb::FieldDescriptor& field) {
  if (mark_of(field) != Mark::kIgnore) return false;
  if (errors_.unknown_fields_policy() == UnknownFields::kError) return false;
  errors_.unknown_field(place_of(field.name()), field.full_name(),
                        "known to Envoy v3 but not supported by Pillion yet");
  return true;
}

void FieldPolicy::tell_unknown(const pb::Message& message) {
  const pb::UnknownFieldSet& fields = message.GetReflection()->GetUnknownFields(message);
  int last = 0;
  for (int i = 0; i < fields.field_count(); ++i) {
    const int number = fields.field(i).number();
    if (std::exchange(last, number) == number) continue;  // an item of the same list
    unknown(*message.GetDescriptor(), str(number),
            config::Node(out_.open_container(), &errors_).where());
  }
}

void FieldPolicy::tell_unknown(const pb::Descriptor& message, std::string_view name) {
  const std::string shown = config::printable(name);
  unknown(message, shown, place_of(shown));
}

void FieldPolicy::tell_twice(const pb::FieldDescriptor& field, std::string_view name) {
  const std::string& other = name == field.name() ? field.camelcase_name() : field.name();
  errors_.error(place_of(config::printable(name)), str("the same field as \"", other, '"'));
}

void FieldPolicy::unknown(const pb::Descriptor& message, std::string_view name,
                          config::Where where) {
  std::string text = str("unknown field ", name, " of ", message.full_name());
  if (refuses_unknown_fields(message)) {
    text += ": without it more would match, or less be checked, than was meant";
    errors_.error(std::move(where), std::move(text));
  } else if (errors_.unknown_fields_policy() == UnknownFields::kError) {
    errors_.error(std::move(where), std::move(text));
  } else {
    errors_.unknown_field(std::move(where), str(message.full_name(), '.', name), std::move(text));
  }
}

}  // namespace pillion::xds
