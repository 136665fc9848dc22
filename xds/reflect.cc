#include "xds/reflect.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "proxy/base/base64.h"
#include "proxy/base/str.h"
#include "proxy/config/node.h"
#include "proxy/config/skipped_types.h"
#include "proxy/config/suggest.h"
#include "xds/field_policy.h"
#include "xds/message_size.h"
#include "xds/proto/schema.h"
#include "xds/typed_struct.h"

namespace pillion::xds {
namespace {

namespace pb = google::protobuf;
using config::TreeBuilder;
using pb::FieldDescriptor;

constexpr std::string_view kHttpFilter =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter";
constexpr std::string_view kFilterConfig = "envoy.config.route.v3.FilterConfig";

// Do they say that their filter may be left out?
bool is_optional(const pb::Message& message) {
  const pb::Descriptor& type = *message.GetDescriptor();
  if (type.full_name() != kHttpFilter && type.full_name() != kFilterConfig) return false;
  const FieldDescriptor* field = type.FindFieldByName("is_optional");
  return field != nullptr && message.GetReflection()->GetBool(message, field);
}

bool is_typed_struct(std::string_view type) {
  return type == "udpa.type.v1.TypedStruct" || type == "xds.type.v3.TypedStruct";
}

// proto3 JSON has words for what JSON lacks.
std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return str(value);
}

// The message that `bytes` are; what is wrong instead.  Before it is made its size is told, for in
// memory it may be 150 times as large.
Result<std::unique_ptr<pb::Message>> parse(std::string_view type, std::string_view bytes,
                                           size_t& parts_left) {
  std::unique_ptr<pb::Message> message = make_message(type);
  if (message == nullptr) return Error{str("no such type: ", config::printable(type))};
  const Fit fit = take_parts(bytes, *message->GetDescriptor(), parts_left);
  if (fit == Fit::kTooMuch)
    return Error{
        str("more than ", kMaxValues, " values, of which a message counts for ", kPartsOfMessage)};
  if (fit == Fit::kNoMessage ||
      !message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return Error{str("the bytes are no ", config::printable(type))};
  return message;
}

class Walker {
 public:
  // `parts_left`: of all messages together.
  Walker(std::string source, config::Errors& errors, size_t& parts_left)
      : out_(std::move(source)), errors_(errors), parts_left_(parts_left) {}

  config::DocumentPtr finish() { return out_.finish(); }

  void message(const pb::Message& message) {
    if (is_too_much()) return out_.null();
    const pb::Descriptor& type = *message.GetDescriptor();
    if (type.well_known_type() != pb::Descriptor::WELLKNOWNTYPE_UNSPECIFIED &&
        well_known(message, type))
      return;
    out_.begin_mapping();
    fields(message);
    out_.end();
  }

 private:
  // Of a message, into the mapping that is open.
  void fields(const pb::Message& message) {
    if (message.GetDescriptor()->full_name() == "pillion.Refused") return;
    const pb::Reflection& reflection = *message.GetReflection();
    std::vector<const FieldDescriptor*> present;
    reflection.ListFields(message, &present);
    const bool is_optional = xds::is_optional(message);
    for (const FieldDescriptor* field : present) {
      if (told_) break;
      if (policy_.leaves_out(*field)) continue;
      out_.key(field->name());
      may_lack_type_ = is_optional;
      if (field->is_map()) {
        map(message, *field);
      } else if (field->is_repeated()) {
        items(message, *field);
      } else {
        single(message, *field);
      }
    }
    policy_.tell_unknown(message);
  }

  void items(const pb::Message& message, const FieldDescriptor& field) {
    out_.begin_sequence();
    const int size = message.GetReflection()->FieldSize(message, &field);
    for (int i = 0; i < size && !told_; ++i) item(message, field, i);
    out_.end();
  }

  void map(const pb::Message& message, const FieldDescriptor& field) {
    const pb::Reflection& reflection = *message.GetReflection();
    const FieldDescriptor* key = field.message_type()->map_key();
    const FieldDescriptor* value = field.message_type()->map_value();
    out_.begin_mapping();
    std::vector<std::pair<std::string, const pb::Message*>> entries;
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      const pb::Message& entry = reflection.GetRepeatedMessage(message, &field, i);
      entries.emplace_back(scalar_text(entry, *key), &entry);
    }
    std::stable_sort(entries.begin(), entries.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (size_t i = 0; i < entries.size() && !told_; ++i) {
      // As protobuf: the last of two with the same key counts.
      if (i + 1 < entries.size() && entries[i].first == entries[i + 1].first) continue;
      out_.key(entries[i].first);
      single(*entries[i].second, *value);
    }
    out_.end();
  }

  static std::string scalar_text(const pb::Message& message, const FieldDescriptor& field) {
    const pb::Reflection& r = *message.GetReflection();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        return r.GetString(message, &field);
      case FieldDescriptor::CPPTYPE_BOOL:
        return str(r.GetBool(message, &field));
      case FieldDescriptor::CPPTYPE_INT32:
        return str(r.GetInt32(message, &field));
      case FieldDescriptor::CPPTYPE_INT64:
        return str(r.GetInt64(message, &field));
      case FieldDescriptor::CPPTYPE_UINT32:
        return str(r.GetUInt32(message, &field));
      case FieldDescriptor::CPPTYPE_UINT64:
        return str(r.GetUInt64(message, &field));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return number_text(r.GetDouble(message, &field));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return number_text(static_cast<double>(r.GetFloat(message, &field)));
      default:
        return {};
    }
  }

  void text(const FieldDescriptor& field, const std::string& value) {
    if (field.type() == FieldDescriptor::TYPE_BYTES) return out_.string(encode_base64(value));
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) return out_.string(value);
    out_.plain(value);
  }

  void enumerator(const FieldDescriptor& field, int number) {
    const pb::EnumValueDescriptor* value = field.enum_type()->FindValueByNumber(number);
    value == nullptr ? out_.plain(str(number)) : out_.plain(value->name());
  }

  void single(const pb::Message& message, const FieldDescriptor& field) {
    const pb::Reflection& r = *message.GetReflection();
    if (is_too_much()) return out_.null();
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
      return this->message(r.GetMessage(message, &field));
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM)
      return enumerator(field, r.GetEnumValue(message, &field));
    text(field, scalar_text(message, field));
  }

  void item(const pb::Message& message, const FieldDescriptor& field, int i) {
    const pb::Reflection& r = *message.GetReflection();
    if (is_too_much()) return out_.null();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return this->message(r.GetRepeatedMessage(message, &field, i));
      case FieldDescriptor::CPPTYPE_ENUM:
        return enumerator(field, r.GetRepeatedEnumValue(message, &field, i));
      case FieldDescriptor::CPPTYPE_STRING:
        return text(field, r.GetRepeatedString(message, &field, i));
      case FieldDescriptor::CPPTYPE_BOOL:
        return out_.boolean(r.GetRepeatedBool(message, &field, i));
      case FieldDescriptor::CPPTYPE_INT32:
        return out_.plain(str(r.GetRepeatedInt32(message, &field, i)));
      case FieldDescriptor::CPPTYPE_INT64:
        return out_.plain(str(r.GetRepeatedInt64(message, &field, i)));
      case FieldDescriptor::CPPTYPE_UINT32:
        return out_.plain(str(r.GetRepeatedUInt32(message, &field, i)));
      case FieldDescriptor::CPPTYPE_UINT64:
        return out_.plain(str(r.GetRepeatedUInt64(message, &field, i)));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return out_.plain(number_text(r.GetRepeatedDouble(message, &field, i)));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return out_.plain(number_text(static_cast<double>(r.GetRepeatedFloat(message, &field, i))));
    }
  }

  // --- messages with a JSON form of their own; false: it has none ---
  bool well_known(const pb::Message& message, const pb::Descriptor& type) {
    switch (type.well_known_type()) {
      case pb::Descriptor::WELLKNOWNTYPE_ANY:
        return any(message), true;
      case pb::Descriptor::WELLKNOWNTYPE_DURATION:
        return duration(message), true;
      case pb::Descriptor::WELLKNOWNTYPE_STRUCT:
        return map(message, *type.FindFieldByNumber(1)), true;
      case pb::Descriptor::WELLKNOWNTYPE_VALUE:
        return value(message), true;
      case pb::Descriptor::WELLKNOWNTYPE_LISTVALUE:
        return items(message, *type.FindFieldByNumber(1)), true;
      case pb::Descriptor::WELLKNOWNTYPE_DOUBLEVALUE:
      case pb::Descriptor::WELLKNOWNTYPE_FLOATVALUE:
      case pb::Descriptor::WELLKNOWNTYPE_INT64VALUE:
      case pb::Descriptor::WELLKNOWNTYPE_UINT64VALUE:
      case pb::Descriptor::WELLKNOWNTYPE_INT32VALUE:
      case pb::Descriptor::WELLKNOWNTYPE_UINT32VALUE:
      case pb::Descriptor::WELLKNOWNTYPE_STRINGVALUE:
      case pb::Descriptor::WELLKNOWNTYPE_BYTESVALUE:
      case pb::Descriptor::WELLKNOWNTYPE_BOOLVALUE:
        return single(message, *type.FindFieldByNumber(1)), true;
      default:
        return false;
    }
  }

  // "1.5s"; both parts of a negative one are negative.
  void duration(const pb::Message& message) {
    const pb::Reflection& r = *message.GetReflection();
    const pb::Descriptor& type = *message.GetDescriptor();
    const int64_t seconds = r.GetInt64(message, type.FindFieldByNumber(1));
    const int32_t nanos = r.GetInt32(message, type.FindFieldByNumber(2));
    if (nanos <= -1'000'000'000 || nanos >= 1'000'000'000 ||
        (seconds != 0 && nanos != 0 && (seconds < 0) != (nanos < 0))) {
      out_.null();
      return error("expected a duration whose nanoseconds are a part of a second, of its sign");
    }
    std::string text = str(seconds < 0 || nanos < 0 ? "-" : "", seconds < 0 ? "" : str(seconds));
    if (seconds < 0) text = str(seconds);
    if (nanos != 0) {
      std::string digits = str(std::abs(nanos));
      digits.insert(0, 9 - digits.size(), '0');
      digits.resize(digits.find_last_not_of('0') + 1);
      text += str('.', digits);
    }
    out_.string(text + 's');
  }

  void value(const pb::Message& message) {
    const pb::Reflection& r = *message.GetReflection();
    const FieldDescriptor* kind =
        r.GetOneofFieldDescriptor(message, message.GetDescriptor()->oneof_decl(0));
    // null_value is the only enum among them.
    if (kind == nullptr || kind->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) return out_.null();
    single(message, *kind);
  }

  void any(const pb::Message& message) {
    const bool may_lack_type = std::exchange(may_lack_type_, false);
    const pb::Reflection& r = *message.GetReflection();
    const pb::Descriptor& descriptor = *message.GetDescriptor();
    const std::string url = r.GetString(message, descriptor.FindFieldByNumber(1));
    out_.begin_mapping();
    if (!url.empty()) {
      std::string scratch;
      inside_any(url, r.GetStringReference(message, descriptor.FindFieldByNumber(2), &scratch),
                 may_lack_type);
    }
    out_.end();
  }

  void inside_any(std::string_view url, const std::string& bytes, bool may_lack_type) {
    const std::string_view type = url.substr(url.rfind('/') + 1);
    if (is_typed_struct(type) && any_depth_ < kMaxAnyNesting && typed_struct(type, bytes)) return;
    out_.key("@type").string(url);
    // The parser leaves it out, or says what is wrong with it.
    if (config::is_skipped_type(type) || config::is_system_resolver_type(type) ||
        (may_lack_type && !has_message(type)))
      return;
    if (any_depth_ == kMaxAnyNesting)
      return error_inside(str("more than ", kMaxAnyNesting, " google.protobuf.Any in each other"));
    if (!has_message(type)) {
      return error_inside(str("type \"", config::printable(type),
                              "\" is not known to Pillion, or not supported yet"));
    }
    const Result<std::unique_ptr<pb::Message>> parsed = parse(type, bytes, parts_left_);
    if (!parsed) return error_inside(parsed.error());
    const pb::Message* const inner = parsed->get();
    const bool has_own_form =
        inner->GetDescriptor()->well_known_type() != pb::Descriptor::WELLKNOWNTYPE_UNSPECIFIED;
    ++any_depth_;
    if (has_own_form) {
      out_.key("value");
      this->message(*inner);
    } else {
      fields(*inner);
    }
    --any_depth_;
  }

  // False: its message is not known; then the parser looks through it.
  bool typed_struct(std::string_view type, const std::string& bytes) {
    const Result<std::unique_ptr<pb::Message>> parsed = parse(type, bytes, parts_left_);
    if (!parsed) return false;
    const pb::Message* const message = parsed->get();
    const pb::Reflection& r = *message->GetReflection();
    const std::string url = r.GetString(*message, message->GetDescriptor()->FindFieldByNumber(1));
    const pb::Descriptor* named = TypedStruct::message_named(url);
    if (named == nullptr) return false;
    out_.key("@type").string(url);
    const pb::Message& content =
        r.GetMessage(*message, message->GetDescriptor()->FindFieldByNumber(2));
    const auto write_value = [this](const pb::Message& value) { this->message(value); };
    TypedStruct(out_, policy_, write_value, [this] {
      return is_too_much();
    }).write(content, *named);
    policy_.tell_unknown(*message);
    return true;
  }

  // --- what is wrong ---
  void error_inside(std::string text) {
    errors_.error(config::Node(out_.open_container(), &errors_).where(), std::move(text));
  }
  void error(std::string text) {
    errors_.error(config::Node(out_.last_value(), &errors_).where(), std::move(text));
  }

  // Says so once; then nothing more is written.
  bool is_too_much() {
    const bool is_deep = out_.depth() >= kMaxNesting;
    if (!is_deep && out_.value_count() < kMaxValues) return false;
    if (!std::exchange(told_, true)) {
      errors_.error(config::Node(out_.open_container(), &errors_).where(),
                    is_deep ? str("nested deeper than ", kMaxNesting, " levels")
                            : str("more than ", kMaxValues, " values"));
    }
    return true;
  }

  TreeBuilder out_;
  config::Errors& errors_;
  size_t& parts_left_;
  FieldPolicy policy_{out_, errors_};
  bool may_lack_type_ = false;  // of the Any that comes next
  size_t any_depth_ = 0;
  bool told_ = false;
};

}  // namespace

config::DocumentPtr reflect(std::string_view type, std::string_view bytes, std::string source,
                            config::Errors& errors) {
  size_t parts_left = kMaxValues;
  const Result<std::unique_ptr<pb::Message>> message = parse(type, bytes, parts_left);
  if (!message) {
    errors.error({source, {}, {}}, message.error());
    return nullptr;
  }
  Walker walker(std::move(source), errors, parts_left);
  walker.message(**message);
  return walker.finish();
}

Result<std::string> encode(std::string_view type, std::string_view json) {
  const std::unique_ptr<pb::Message> message = make_message(type);
  if (message == nullptr) return Error{str("no such type: ", type)};
  pb::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto status = pb::util::JsonStringToMessage(pb::StringPiece(json.data(), json.size()),
                                                    message.get(), options);
  if (!status.ok()) return Error{std::string(status.message())};
  return message->SerializeAsString();
}

}  // namespace pillion::xds
