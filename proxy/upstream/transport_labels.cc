#include "proxy/upstream/transport_labels.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "proxy/base/json_writer.h"
#include "proxy/config/scalars.h"

namespace pillion::upstream {
namespace {

using config::Kind;
using config::Value;

double without_sign_of_zero(double value) noexcept { return value == 0 ? 0 : value; }

void write_scalar(JsonWriter& json, const Value& value) {
  const std::string_view text = value.scalar();
  if (!value.is_quoted) {
    if (text == "true" || text == "false") return void(json.value(text == "true"));
    if (const auto number = config::parse_double(text))
      return void(json.value(without_sign_of_zero(*number)));
  }
  json.value(text);
}

void write(JsonWriter& json, const Value& value) {
  switch (value.kind) {
    case Kind::kNull:
      json.null();
      return;
    case Kind::kScalar:
      return write_scalar(json, value);
    case Kind::kSequence:
      json.begin_array();
      for (const Value* v = value.first_child; v != nullptr; v = v->next) write(json, *v);
      json.end_array();
      return;
    case Kind::kMapping: {
      std::vector<const Value*> fields;
      for (const Value* v = value.first_child; v != nullptr; v = v->next) fields.push_back(v);
      std::ranges::sort(fields, {}, [](const Value* v) { return v->key->text; });
      json.begin_object();
      for (const Value* v : fields) write(json.key(v->key->text), *v);
      json.end_object();
      return;
    }
  }
}

template <typename T>
std::string json_of(const T& value) {
  std::string out;
  JsonWriter json(out, JsonWriter::Style::kCompact);
  if constexpr (std::is_same_v<T, Value>) {
    write(json, value);
  } else {
    json.value(value);
  }
  return out;
}

}  // namespace

TransportLabelsPtr make_transport_labels(LabelSet own, LabelSet of_locality) {
  if (own.empty() && of_locality.empty()) return nullptr;
  return TransportLabelsPtr({std::move(own), std::move(of_locality)});
}

size_t value_hash(const TransportLabels& labels) noexcept {
  size_t hash = 0;
  for (const LabelSet* set : {&labels.own, &labels.of_locality}) {
    mix_hash(hash, set->size());
    for (const auto& [key, value] : *set) {
      mix_hash(hash, pillion::value_hash(key));
      mix_hash(hash, pillion::value_hash(value));
    }
  }
  return hash;
}

LabelSet parse_labels(const config::Node& fields) {
  LabelSet out;
  for (const auto& [key, value] : fields.entries())
    out.emplace_back(std::string(key), json_of(*value.value()));
  std::ranges::sort(out);
  return out;
}

std::string label_text(std::string_view value) { return json_of(value); }
std::string label_text(double value) { return json_of(without_sign_of_zero(value)); }

bool contains(const LabelSet& labels, const LabelSet& wanted) noexcept {
  return std::ranges::includes(labels, wanted);
}

}  // namespace pillion::upstream
