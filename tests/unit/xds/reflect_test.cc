#include "xds/reflect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "proxy/base/str.h"
#include "proxy/config/expand.h"
#include "proxy/config/node.h"
#include "proxy/config/suggest.h"
#include "xds/value_json.h"

namespace pillion::xds {
namespace {

using ::testing::HasSubstr;

struct Reflected {
  config::Errors errors{config::UnknownFields::kWarn};
  config::DocumentPtr document;
  [[nodiscard]] std::string json() const {
    std::string out;
    if (document != nullptr) append_json(out, document->root_value());
    return out;
  }
};

// JSON -> bytes -> Document.
std::unique_ptr<Reflected> round_trip(std::string_view type, std::string_view json) {
  auto out = std::make_unique<Reflected>();
  const Result<std::string> bytes = encode(type, json);
  EXPECT_TRUE(bytes) << bytes.error();
  if (bytes) out->document = reflect(type, *bytes, "test", out->errors);
  return out;
}

struct Case {
  const char* type;
  const char* json;
  const char* seen;  // null: the same
};

TEST(Reflect, GivesTheJsonFormOfEachKindOfField) {
  const Case kCases[] = {
      {"envoy.config.cluster.v3.Cluster", R"({"name":"a","type":"EDS","connect_timeout":"0.250s"})",
       R"({"name":"a","type":"EDS","connect_timeout":"0.25s"})"},
      // A default that is no message is absent; of a oneof and of a wrapper it is there.
      {"envoy.config.cluster.v3.Cluster",
       R"({"name":"","type":"STATIC","lb_policy":"ROUND_ROBIN"})", R"({"type":"STATIC"})"},
      {"envoy.config.core.v3.SocketAddress", R"({"address":"::1","port_value":0})", nullptr},
      {"envoy.config.cluster.v3.Cluster", R"({"per_connection_buffer_limit_bytes":0})", nullptr},
      {"envoy.config.cluster.v3.Cluster", R"({"connectTimeout":"3s"})",
       R"({"connect_timeout":"3s"})"},
      {"envoy.config.core.v3.DataSource", R"({"inline_bytes":"AAEC/w=="})", nullptr},
      {"envoy.config.core.v3.DataSource", R"({"inline_bytes":"AAE="})", nullptr},
      {"envoy.type.v3.Percent", R"({"value":12.5})", nullptr},
      {"google.protobuf.Duration", R"("-1.000000001s")", nullptr},
      {"google.protobuf.Duration", R"("-0.5s")", nullptr},
      {"google.protobuf.Duration", R"("315576000000s")", nullptr},
      {"envoy.config.core.v3.Metadata",
       R"({"filter_metadata":{"a":{"x":[1,"1",true,null,{"y":1.5}]},"b":{}}})", nullptr},
      {"envoy.config.core.v3.TransportSocket",
       R"({"name":"t","typed_config":{"@type":"type.googleapis.com/)"
       R"(envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}})",
       nullptr},
      {"envoy.config.core.v3.TransportSocket",
       R"({"typed_config":{"@type":"type.googleapis.com/google.protobuf.Struct",)"
       R"("value":{"a":"b"}}})",
       nullptr},
      {"envoy.config.core.v3.TransportSocket",
       R"({"typed_config":{"@type":"type.googleapis.com/xds.type.v3.TypedStruct",)"
       R"("type_url":"x.y","value":{"a":7}}})",
       nullptr},
      {"envoy.config.rbac.v3.RBAC",
       R"({"action":"DENY","policies":{"p":{"permissions":[{"not_rule":{"destination_port":0}},)"
       R"({"url_path":{"path":{"prefix":"/a"}}}],"principals":[{"authenticated":{}},{"any":true}]}}})",
       nullptr},
      {"envoy.extensions.filters.http.rbac.v3.RBAC", R"({"rules":{}})", nullptr},
      {"xds.type.matcher.v3.Matcher",
       R"({"matcher_list":{"matchers":[{"on_match":{"action":{"name":"a","typed_config":{"@type":)"
       R"("type.googleapis.com/envoy.config.rbac.v3.Action","name":"n","action":"LOG"}}}}]}})",
       nullptr},
      {"envoy.config.listener.v3.FilterChainMatch", R"({"source_ports":[1,65535]})", nullptr},
      {"envoy.config.cluster.v3.Cluster", R"({"lb_subset_config":{}})", nullptr},
      {"envoy.config.listener.v3.Listener", R"({"filter_chain_matcher":{"matcher_list":{}}})",
       R"({"filter_chain_matcher":{}})"},
  };
  for (const Case& c : kCases) {
    const auto got = round_trip(c.type, c.json);
    EXPECT_EQ(got->json(), c.seen == nullptr ? c.json : c.seen) << c.type;
    EXPECT_TRUE(got->errors.ok()) << got->errors.to_string();
    EXPECT_EQ(got->errors.warning_count(), 0u) << got->errors.to_string(config::Severity::kWarning);
  }
}

TEST(Reflect, RefusesATypeThatItDoesNotKnowByNameAndPlace) {
  config::Errors errors;
  // Cluster.transport_socket (24) = { typed_config (3) = Any { "x/no.such.Type" } }
  const std::string any = std::string("\x0a\x0e") + "x/no.such.Type";
  const std::string socket = str("\x1a", static_cast<char>(any.size()), any);
  const std::string cluster = str("\xc2\x01", static_cast<char>(socket.size()), socket);
  (void)reflect("envoy.config.cluster.v3.Cluster", cluster, "cds/a", errors);
  EXPECT_EQ(
      errors.to_string(),
      "cds/a: transport_socket.typed_config: type \"no.such.Type\" is not known to Pillion, or "
      "not supported yet\n");
}

TEST(Reflect, RefusesBytesThatAreNoMessage) {
  config::Errors errors;
  EXPECT_EQ(reflect("envoy.config.cluster.v3.Cluster", "\xff\xff", "cds/a", errors), nullptr);
  EXPECT_EQ(reflect("envoy.config.cluster.v3.Cluster", "\x0a\x02\xff\xfe", "cds/b", errors),
            nullptr)
      << "a name that is no UTF-8";
  EXPECT_EQ(reflect("no.such.Type", "", "cds/c", errors), nullptr);
  EXPECT_EQ(errors.error_count(), 3u);
}

TEST(Reflect, WarnsOfFieldsOfANewerApiByNumber) {
  config::Errors errors(config::UnknownFields::kWarn);
  // Field 1000 twice, 1001 once, behind the name.
  const auto document = reflect("envoy.config.cluster.v3.Cluster",
                                "\x0a\x01"
                                "a\xc0\x3e\x01\xc0\x3e\x02\xc8\x3e\x01",
                                "cds/a", errors);
  ASSERT_NE(document, nullptr);
  EXPECT_TRUE(errors.ok()) << errors.to_string();
  ASSERT_EQ(errors.unknown_fields().size(), 2u);
  EXPECT_EQ(errors.unknown_fields().at("envoy.config.cluster.v3.Cluster.1000").count, 1u);
  EXPECT_EQ(errors.unknown_fields().at("envoy.config.cluster.v3.Cluster.1001").example, "cds/a");
}

TEST(Reflect, RefusesUnknownFieldsWhereSecurityDependsOnThem) {
  config::Errors errors(config::UnknownFields::kWarn);
  // A condition of a newer API: without it the route would match more.
  for (const std::string_view type :
       {"envoy.config.route.v3.RouteMatch", "envoy.config.rbac.v3.Permission",
        "envoy.config.rbac.v3.RBAC", "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
        "envoy.extensions.filters.network.rbac.v3.RBAC", "xds.type.matcher.v3.Matcher",
        "envoy.extensions.filters.http.cors.v3.CorsPolicy"}) {
    (void)reflect(type, "\xc0\x3e\x01", "rds/r", errors);
    EXPECT_THAT(errors.to_string(), HasSubstr(str("rds/r: unknown field 1000 of ", type, ":")));
  }
}

// A field of a message: number, length, bytes.
std::string wrapped(int number, std::string_view bytes) {
  std::string out(1, static_cast<char>(number << 3 | 2));
  size_t size = bytes.size();
  for (; size >= 0x80; size >>= 7) out += static_cast<char>(size | 0x80);
  out += static_cast<char>(size);
  return out.append(bytes);
}
std::string any_of(std::string_view type, std::string_view bytes) {
  return wrapped(1, str("type.googleapis.com/", type)) + wrapped(2, bytes);
}

TEST(Reflect, EndsAtItsLimitsOfNesting) {
  // Any in Any in Any: protobuf's own limit starts again in each.
  constexpr std::string_view kConfig = "envoy.config.core.v3.TypedExtensionConfig";
  std::string bytes;
  for (int i = 0; i < 400; ++i) bytes = wrapped(2, any_of(kConfig, bytes));
  config::Errors errors;
  (void)reflect(kConfig, bytes, "x", errors);
  EXPECT_THAT(errors.to_string(), HasSubstr("more than 16 google.protobuf.Any in each other"));

  // A few of them, each of a message with many levels.
  constexpr std::string_view kFilter = "envoy.config.accesslog.v3.AccessLogFilter";
  bytes.clear();
  for (int i = 0; i < 8; ++i) {
    for (int level = 0; level < 30; ++level) bytes = wrapped(6, wrapped(1, bytes));  // and_filter
    bytes = wrapped(11, wrapped(3, any_of(kFilter, bytes)));  // extension_filter
  }
  config::Errors others;
  (void)reflect(kFilter, bytes, "x", others);
  EXPECT_THAT(others.to_string(), HasSubstr("nested deeper than 200 levels"));
}

// ---- every file of the repository means the same on both ways ----

using config::Kind;
using config::Value;

// As JSON has it: the first name of an enum is one too.
bool is_default(const Value& value) {
  constexpr std::string_view kFirstNames[] = {"ROUND_ROBIN", "AUTO",     "HTTP",    "DEFAULT",
                                              "OVERWRITE",   "SANITIZE", "UNKNOWN", "HUNDRED",
                                              "TCP",         "HTTP1"};
  if (std::ranges::find(kFirstNames, value.scalar()) != std::end(kFirstNames)) return true;
  switch (value.kind) {
    case Kind::kNull:
      return true;
    case Kind::kScalar:
      return value.size == 0 || value.scalar() == "0" || value.scalar() == "false";
    default:
      return value.size == 0;
  }
}

const Value* child(const Value& mapping, std::string_view key) {
  for (const Value* v = mapping.first_child; v != nullptr; v = v->next) {
    if (v->key->text == key || config::is_camel_case_of(v->key->text, key)) return v;
  }
  return nullptr;
}

bool is_same_scalar(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const auto da = config::parse_duration(a), db = config::parse_duration(b);
  const auto na = config::parse_double(a), nb = config::parse_double(b);
  return (da && db && *da == *db) || (na && nb && *na == *nb);
}

// Nothing of the file is lost, and nothing comes from nowhere.
void expect_same(const Value& file, const Value& seen, const std::string& path) {
  if (file.kind != seen.kind) {
    ADD_FAILURE() << path << ": another kind";
  } else if (file.kind == Kind::kScalar) {
    EXPECT_TRUE(is_same_scalar(file.scalar(), seen.scalar()))
        << path << ": " << file.scalar() << " became " << seen.scalar();
  } else if (file.kind == Kind::kSequence) {
    ASSERT_EQ(file.size, seen.size) << path;
    const Value* s = seen.first_child;
    for (const Value* f = file.first_child; f != nullptr; f = f->next, s = s->next)
      expect_same(*f, *s, path + "[]");
  } else if (file.kind == Kind::kMapping) {
    for (const Value* s = seen.first_child; s != nullptr; s = s->next) {
      const Value* f = child(file, s->key->text);
      ASSERT_NE(f, nullptr) << path << '.' << s->key->text << " is new";
      expect_same(*f, *s, str(path, '.', s->key->text));
    }
    size_t missing = 0;
    for (const Value* f = file.first_child; f != nullptr; f = f->next) missing += is_default(*f);
    EXPECT_GE(seen.size + missing, file.size) << path << " lost a field";
  }
}

std::vector<std::filesystem::path> files() {
  std::vector<std::filesystem::path> out;
  for (const char* folder : {"deploy/examples", "tests/data/config/good"}) {
    const auto root = std::filesystem::path(PILLION_SOURCE_DIR) / folder;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
      const auto extension = entry.path().extension();
      if (extension == ".yaml" || extension == ".json") out.push_back(entry.path());
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

TEST(Reflect, RefusesMessagesThatArePackedTooOften) {
  const auto packed = [](size_t times) {
    std::string json = R"({"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"})";
    for (size_t i = 0; i < times; ++i)
      json = str(R"({"@type":"type.googleapis.com/google.protobuf.Any","value":)", json, "}");
    const Result<std::string> bytes = encode("google.protobuf.Any", json);
    EXPECT_TRUE(bytes);
    config::Errors errors;
    (void)reflect("google.protobuf.Any", *bytes, "test", errors);
    return errors.to_string();
  };
  EXPECT_EQ(packed(kMaxAnyNesting - 1), "");
  EXPECT_THAT(packed(kMaxAnyNesting), HasSubstr("more than 16 google.protobuf.Any in each other"));
}

TEST(AppendJson, WritesNumbersAsJsonHasThem) {
  config::Errors errors;
  const config::DocumentPtr document =
      config::load_text("{ a: 0123, b: -0, c: 1.50, d: \"7\", e: true, f: }", "test", errors);
  ASSERT_NE(document, nullptr);
  std::string json;
  append_json(json, document->root_value());
  EXPECT_EQ(json, R"({"a":123,"b":0,"c":1.5,"d":"7","e":true,"f":null})");
}

TEST(Reflect, ReadsEveryFileOfTheRepositoryAsTheFileSays) {
  size_t checked = 0;
  for (const auto& path : files()) {
    SCOPED_TRACE(path.string());
    config::Errors errors;
    config::DocumentPtr document = config::load_file(path.string(), errors);
    ASSERT_NE(document, nullptr) << errors.to_string();
    if (config::is_short_form(*document)) document = config::expand(document, errors);
    std::string json;
    append_json(json, document->root_value());
    const Result<std::string> bytes = encode("envoy.config.bootstrap.v3.Bootstrap", json);
    // Some files use what only our parsers take ("20%"), or are no bootstrap at all.
    if (!bytes) {
      std::printf("%s: not protobuf's JSON: %s\n", path.c_str(), bytes.error().c_str());
      continue;
    }
    const auto seen = reflect("envoy.config.bootstrap.v3.Bootstrap", *bytes, "test", errors);
    ASSERT_NE(seen, nullptr);
    EXPECT_TRUE(errors.ok()) << errors.to_string();
    expect_same(document->root_value(), seen->root_value(), "");
    ++checked;
  }
  EXPECT_GE(checked, 10u);
}

}  // namespace
}  // namespace pillion::xds
