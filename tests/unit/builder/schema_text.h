#pragma once
// Resources as texts, to see what becomes of one field: a way leads from a resource to a message,
// through fields and through types inside of Any, and each message on it has what its parser
// demands beside (schema_bases.inc).

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/builder/compile.h"
#include "proxy/config/node.h"
#include "proxy/tls/secret.h"
#include "proxy/upstream/parse.h"
#include "xds/proto/schema.h"

namespace pillion::testing {

namespace pb = google::protobuf;
using config::Node;

enum class Verdict : uint8_t { kServed, kIgnored, kRefused };

struct Root {
  std::string_view type;
  std::function<void(const Node&)> parse;
};

inline const std::vector<Root>& roots() {
  static Resources resources;
  static Compiler compiler({}, {}, {}, resources);
  static const std::vector<Root> kRoots = {
      {"envoy.config.cluster.v3.Cluster", [](const Node& n) { (void)compiler.cluster(n, {}); }},
      {"envoy.config.endpoint.v3.ClusterLoadAssignment",
       [](const Node& n) { (void)upstream::parse_assignment(n); }},
      {"envoy.config.listener.v3.Listener", [](const Node& n) { (void)compiler.listener(n, {}); }},
      {"envoy.config.route.v3.RouteConfiguration",
       [](const Node& n) { (void)compiler.routes(n, {}); }},
      {"envoy.extensions.transport_sockets.tls.v3.Secret",
       [](const Node& n) {
         std::string name;
         (void)tls::parse_secret(n, name);
       }},
  };
  return kRoots;
}

#define ANY(type) "{'@type': 'type.googleapis.com/" type "'"

#define KEYS                                                          \
  "{inline_string: '{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\"," \
  "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}'}"

inline constexpr const char* kRouter =
    "[{name: router, typed_config: " ANY("envoy.extensions.filters.http.router.v3.Router") "}}]";

struct Base {
  std::string_view type;
  std::map<std::string, std::string, std::less<>> fields;
};

// What parsers demand before they read the rest of a message.
inline const std::vector<Base>& bases() {
  static const std::vector<Base> kBase = {
#include "schema_bases.inc"
  };
  return kBase;
}

inline std::map<std::string, std::string, std::less<>> base_of(const pb::Descriptor* type) {
  for (const Base& base : bases())
    if (base.type == type->full_name()) return base.fields;
  return {};
}

inline bool has_own_form(const pb::Descriptor* type) {
  return type->well_known_type() != pb::Descriptor::WELLKNOWNTYPE_UNSPECIFIED ||
         type->full_name() == "pillion.Refused";
}

inline std::string sample_message(const pb::Descriptor* type) {
  const std::string& name = type->full_name();
  if (name == "google.protobuf.Duration") return "1s";
  if (name == "google.protobuf.BoolValue") return "true";
  if (name == "google.protobuf.StringValue" || name == "google.protobuf.Value") return "a";
  if (name == "google.protobuf.Any") return ANY("google.protobuf.Struct") ", value: {}}";
  if (name.starts_with("google.protobuf.") && name.ends_with("Value")) return "1";
  std::string out = "{";
  for (const auto& [field, value] : base_of(type)) out += str(field, ": ", value, ", ");
  return out + "}";
}

inline std::string sample_single(const pb::FieldDescriptor* field) {
  switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
      return sample_message(field->message_type());
    case pb::FieldDescriptor::CPPTYPE_ENUM:
      return field->enum_type()->value(std::min(1, field->enum_type()->value_count() - 1))->name();
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      return "true";
    case pb::FieldDescriptor::CPPTYPE_STRING:
      return "YQ==";
    default:
      return "1";
  }
}

// What must end a list.
inline std::string_view last_item(const pb::FieldDescriptor* field, std::string_view value) {
  constexpr std::string_view kEndOfFilters =
      ", {name: last, typed_config: " ANY("envoy.extensions.filters.http.router.v3.Router") "}}";
  constexpr std::string_view kEndOfChain = ", {name: last, typed_config: " ANY(
      "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy") ", stat_prefix: a, cluster: c}}";
  if (field->name() == "http_filters" && value.find("router.v3.Router") == value.npos)
    return kEndOfFilters;
  const bool is_chain = field->full_name() == "envoy.config.listener.v3.FilterChain.filters";
  return is_chain && value.find(".v3.TcpProxy") == value.npos &&
                 value.find(".v3.HttpConnectionManager") == value.npos
             ? kEndOfChain
             : "";
}

// Messages whose lists must have two items.
inline bool wants_two(const pb::FieldDescriptor* field) {
  constexpr std::string_view kLists[] = {
      "envoy.config.accesslog.v3.AndFilter.filters",
      "envoy.config.listener.v3.ListenerFilterChainMatchPredicate.MatchSet.rules",
      "envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementOrList.requirements",
      "envoy.type.matcher.v3.OrMatcher.value_matchers",
  };
  return std::ranges::find(kLists, std::string_view(field->full_name())) != std::end(kLists);
}

// A value of a map stands under the key `k`.
inline std::string in_container(const pb::FieldDescriptor* field, const std::string& value) {
  if (field->is_map()) return str("{k: ", value, "}");
  if (!field->is_repeated()) return value;
  if (wants_two(field)) return str("[", value, ", ", value, "]");
  return str("[", value, last_item(field, value), "]");
}

inline const pb::FieldDescriptor* content_of(const pb::FieldDescriptor* field) {
  return field->is_map() ? field->message_type()->map_value() : field;
}

struct Step {
  const pb::FieldDescriptor* field;
  const pb::Descriptor* type;  // of the message that it holds, or that is in its Any
};
struct Way {
  size_t root;  // in roots()
  std::vector<Step> steps;
};

inline const pb::Descriptor* end_of(const Way& way) {
  return way.steps.empty() ? xds::find_message(roots()[way.root].type) : way.steps.back().type;
}

// The resource with `field: value` in the message at the end of the way; `descriptor` of the field,
// null if it has none; no field if its name is empty.
inline std::string text_of(const Way& way, const pb::FieldDescriptor* descriptor,
                           std::string_view field, const std::string& value, size_t step = 0) {
  const pb::Descriptor* type =
      step == 0 ? xds::find_message(roots()[way.root].type) : way.steps[step - 1].type;
  auto fields = base_of(type);
  const auto set = [&fields](const pb::FieldDescriptor* f, std::string_view name,
                             std::string text) {
    if (f != nullptr && f->containing_oneof() != nullptr)
      for (int i = 0; i < f->containing_oneof()->field_count(); ++i)
        fields.erase(f->containing_oneof()->field(i)->name());
    fields[std::string(name)] = std::move(text);
  };
  if (step == way.steps.size()) {
    if (!field.empty()) set(descriptor, field, value);
  } else {
    const pb::FieldDescriptor* f = way.steps[step].field;
    set(f, f->name(), in_container(f, text_of(way, descriptor, field, value, step + 1)));
  }
  std::string out = "{";
  const bool is_in_any = step != 0 && content_of(way.steps[step - 1].field)->message_type() != type;
  if (is_in_any) out += str("'@type': 'type.googleapis.com/", type->full_name(), "', ");
  for (const auto& [name, text] : fields) out += str('"', name, "\": ", text, ", ");
  return out + "}";
}

// Is there an error of the field at a path that begins so?
inline bool has_error(std::string_view path, std::string_view text, const config::Errors& errors) {
  return std::ranges::any_of(errors.sorted(), [&](const config::Problem& problem) {
    return problem.where.path == path && problem.text.starts_with(text);
  });
}
inline bool is_called_unknown(std::string_view path, const config::Errors& errors) {
  return has_error(path, "unknown field", errors);
}

// Of what was parsed: what became of the field at a path.
inline Verdict verdict_on(std::string_view path, const config::Errors& errors) {
  if (is_called_unknown(path, errors) || has_error(path, "known to Envoy v3 but", errors))
    return Verdict::kRefused;
  for (const auto& [name, field] : errors.unknown_fields())
    if (field.example.ends_with(str(": ", path))) return Verdict::kIgnored;
  return Verdict::kServed;
}

}  // namespace pillion::testing
