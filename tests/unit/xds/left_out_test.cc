// What reflect() leaves out, and what it makes of a TypedStruct.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "proxy/base/str.h"
#include "proxy/config/node.h"
#include "xds/reflect.h"
#include "xds/value_json.h"

namespace pillion::xds {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kCluster = "envoy.config.cluster.v3.Cluster";
constexpr std::string_view kSocket = "envoy.config.core.v3.TransportSocket";
constexpr std::string_view kFilter =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter";

// The most that the process has had resident, in bytes.
size_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

struct Reflected {
  std::string json, errors, example;
  config::UnknownFieldMap ignored;
  size_t warnings = 0;
};

Reflected reflected(std::string_view type, std::string_view bytes,
                    config::UnknownFields policy = config::UnknownFields::kCount) {
  config::Errors errors(policy);
  const config::DocumentPtr document = reflect(type, bytes, "cds/a", errors);
  Reflected out{.json = {},
                .errors = errors.to_string(),
                .example = {},
                .ignored = errors.unknown_fields(),
                .warnings = errors.warning_count()};
  if (document != nullptr) append_json(out.json, document->root_value());
  if (out.ignored.size() == 1) out.example = out.ignored.begin()->second.example;
  return out;
}

Reflected of_json(std::string_view type, std::string_view json,
                  config::UnknownFields policy = config::UnknownFields::kCount) {
  const Result<std::string> bytes = encode(type, json);
  EXPECT_TRUE(bytes) << bytes.error();
  return bytes ? reflected(type, *bytes, policy) : Reflected{};
}

std::string typed_struct(std::string_view package, std::string_view type, std::string_view value) {
  return str(R"({"typed_config":{"@type":"type.googleapis.com/)", package,
             R"(.TypedStruct","type_url":"type.googleapis.com/)", type, R"(","value":)", value,
             "}}");
}

TEST(LeftOut, AreFieldsMarkedIgnoreAndTheyAreCountedWithoutAWarning) {
  const Reflected got =
      of_json(kCluster, R"({"name":"a","track_cluster_stats":{"timeout_budgets":true}})");
  EXPECT_EQ(got.json, R"({"name":"a"})");
  EXPECT_EQ(got.errors, "");
  EXPECT_EQ(got.warnings, 0u);
  ASSERT_TRUE(got.ignored.contains("envoy.config.cluster.v3.Cluster.track_cluster_stats"));
  EXPECT_EQ(got.example, "cds/a: track_cluster_stats");
}

TEST(LeftOut, IsNothingWhereUnknownFieldsAreErrors) {
  const Reflected got =
      of_json(kCluster, R"({"track_cluster_stats":{}})", config::UnknownFields::kError);
  EXPECT_EQ(got.json, R"({"track_cluster_stats":{}})") << "for the parser, which refuses it";
  EXPECT_TRUE(got.ignored.empty());
}

TEST(LeftOut, IsNotWhatIsMarkedRefuse) {
  EXPECT_EQ(of_json(kCluster, R"({"lb_subset_config":{}})").json, R"({"lb_subset_config":{}})");
}

TEST(TypedStruct, IsWrittenAsTheMessageThatItNames) {
  for (const std::string_view package : {"udpa.type.v1", "xds.type.v3"}) {
    const Reflected got = of_json(
        kSocket,
        typed_struct(package, "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                     R"({"sni":"a","commonTlsContext":{"alpn_protocols":["h2"]},)"
                     R"("max_session_keys":7})"));
    EXPECT_EQ(got.json,
              R"({"typed_config":{"@type":"type.googleapis.com/envoy.extensions.transport_sockets.)"
              R"(tls.v3.UpstreamTlsContext","common_tls_context":{"alpn_protocols":["h2"]},)"
              R"("max_session_keys":7,"sni":"a"}})");
    EXPECT_EQ(got.errors, "");
  }
}

TEST(TypedStruct, RefusesWhatAMessageOnWhichSecurityDependsDoesNotHave) {
  const Reflected got =
      of_json(kSocket, typed_struct("xds.type.v3",
                                    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                                    R"({"common_tls_context":{"verify_more":true}})"));
  EXPECT_THAT(got.errors,
              HasSubstr("cds/a: typed_config.common_tls_context.verify_more: unknown field "
                        "verify_more of envoy.extensions.transport_sockets.tls.v3."
                        "CommonTlsContext: without it more would match"));
}

TEST(TypedStruct, CountsWhatAnotherMessageDoesNotHave) {
  const Reflected got = of_json(
      kFilter, typed_struct("udpa.type.v1", "envoy.extensions.filters.http.router.v3.Router",
                            R"({"new_thing":[1],"suppress_envoy_headers":true})"));
  EXPECT_EQ(got.errors, "");
  EXPECT_EQ(got.json,
            R"({"typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.http.router.)"
            R"(v3.Router","suppress_envoy_headers":true}})");
  EXPECT_TRUE(got.ignored.contains("envoy.extensions.filters.http.router.v3.Router.new_thing"));
}

TEST(TypedStruct, MayHoldAnAny) {
  const Reflected got = of_json(
      "envoy.config.listener.v3.Filter",
      typed_struct("udpa.type.v1",
                   "envoy.extensions.filters.network.http_connection_manager.v3."
                   "HttpConnectionManager",
                   R"({"http_filters":[{"name":"r","typed_config":{"@type":"type.googleapis.com/)"
                   R"(envoy.extensions.filters.http.router.v3.Router","nobodys":1}}]})"));
  EXPECT_EQ(got.errors, "");
  EXPECT_THAT(got.json, HasSubstr(R"("http_filters":[{"name":"r","typed_config":{"@type":"type.)"
                                  R"(googleapis.com/envoy.extensions.filters.http.router.v3.)"
                                  R"(Router"}}])"));
  EXPECT_TRUE(got.ignored.contains("envoy.extensions.filters.http.router.v3.Router.nobodys"));
}

// Field 4 of HttpFilter is its Any, 6 is_optional; 1 and 2 of an Any its type and bytes.
std::string http_filter(std::string_view type, bool is_optional) {
  const std::string url = str("x/", type);
  const std::string any = str("\x0a", static_cast<char>(url.size()), url, "\x12\x02\xff\xff");
  return str("\x22", static_cast<char>(any.size()), any, is_optional ? "\x30\x01" : "");
}

TEST(LeftOut, IsTheContentOfAnOptionalFilterOfAnUnknownType) {
  const Reflected optional = reflected(kFilter, http_filter("a.b.C", true));
  EXPECT_EQ(optional.errors, "");
  EXPECT_EQ(optional.json, R"({"typed_config":{"@type":"x/a.b.C"},"is_optional":true})");
  EXPECT_THAT(reflected(kFilter, http_filter("a.b.C", false)).errors,
              HasSubstr("type \"a.b.C\" is not known to Pillion"));
}

TEST(LeftOut, IsTheContentOfFiltersThatOnlyObserve) {
  const Reflected got = reflected(kFilter, http_filter("stats.PluginConfig", false));
  EXPECT_EQ(got.errors, "");
  EXPECT_EQ(got.json, R"({"typed_config":{"@type":"x/stats.PluginConfig"}})");
}

TEST(TypedStruct, MayNotHaveAFieldInBothOfItsSpellings) {
  const Reflected got = of_json(
      kFilter, typed_struct("udpa.type.v1", "envoy.extensions.filters.http.router.v3.Router",
                            R"({"suppress_envoy_headers":false,"suppressEnvoyHeaders":true})"));
  EXPECT_THAT(got.errors, HasSubstr("suppress_envoy_headers: the same field as"));
}

// Each of these would take hundreds of megabytes if it were parsed, or written, first.
TEST(Reflect, TellsAMessageOfTooManyPartsBeforeItIsParsed) {
  constexpr size_t kMany = 2'000'100;
  const auto times = [](std::string_view item) {
    std::string out;
    for (size_t i = 0; i < kMany; ++i) out += item;
    return out;
  };
  const struct {
    const char* what;
    std::string bytes;
  } kCases[] = {
      {"empty messages (health_checks, 8)", times({"\x42\x00", 2})},
      {"fields of a newer API (1000)", times({"\xc0\x3e\x01", 3})},
      {"texts (lrs_report_endpoint_metrics, 57)", times({"\xca\x03\x00", 3})},
      // common_lb_config, 27; override_host_status, 8; statuses, 1, packed: a byte each.
      {"numbers", ""},
  };
  for (const auto& c : kCases) {
    std::string bytes = c.bytes;
    if (bytes.empty()) {
      const auto wrap = [](std::string tag, const std::string& inside) {
        for (size_t n = inside.size();; n >>= 7) {
          tag += static_cast<char>((n & 127) | (n > 127 ? 128 : 0));
          if (n <= 127) return tag + inside;
        }
      };
      bytes = wrap("\xda\x01", wrap("\x42", wrap("\x0a", std::string(kMany, '\x01'))));
    }
    const size_t before = peak_memory();
    const Reflected got = reflected(kCluster, bytes);
    EXPECT_THAT(got.errors, HasSubstr("more than 2000000 values")) << c.what;
    EXPECT_LT(got.errors.size(), 300u) << c.what;
    EXPECT_LT(peak_memory() - before, size_t{32} << 20) << c.what;
  }
}

// In an Any they lie as bytes, and count with all others.
TEST(Reflect, CountsThePartsOfAllMessagesInEachOther) {
  std::string items;
  for (size_t i = 0; i < 1'200'000; ++i) items.append("\x42\x00", 2);  // 2.4 million parts
  const std::string url = "x/envoy.config.cluster.v3.Cluster";
  std::string any = str("\x0a", static_cast<char>(url.size()), url, "\x12");
  for (size_t n = items.size();; n >>= 7) {
    any += static_cast<char>((n & 127) | (n > 127 ? 128 : 0));
    if (n <= 127) break;
  }
  EXPECT_THAT(reflected("google.protobuf.Any", any + items).errors,
              HasSubstr("more than 2000000 values"));
}

}  // namespace
}  // namespace pillion::xds
