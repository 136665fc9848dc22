#include "xds/value_json.h"

#include "proxy/base/json_writer.h"
#include "proxy/config/scalars.h"

namespace pillion::xds {
namespace {

using config::Kind;
using config::Value;

void write(JsonWriter& json, const Value& value) {
  switch (value.kind) {
    case Kind::kNull:
      json.null();
      return;
    case Kind::kScalar: {
      const std::string_view text = value.scalar();
      if (!value.is_quoted && (text == "true" || text == "false")) {
        json.value(text == "true");
      } else if (!value.is_quoted && config::parse_signed(text)) {
        json.value(*config::parse_signed(text));
      } else if (!value.is_quoted && config::parse_double(text)) {
        json.value(*config::parse_double(text));
      } else {
        json.value(text);
      }
      return;
    }
    case Kind::kSequence:
      json.begin_array();
      for (const Value* v = value.first_child; v != nullptr; v = v->next) write(json, *v);
      json.end_array();
      return;
    case Kind::kMapping:
      json.begin_object();
      for (const Value* v = value.first_child; v != nullptr; v = v->next) {
        json.key(v->key->text);
        write(json, *v);
      }
      json.end_object();
      return;
  }
}

}  // namespace

void append_json(std::string& out, const Value& value) {
  JsonWriter json(out, JsonWriter::Style::kCompact);
  write(json, value);
}

}  // namespace pillion::xds
