#include "proxy/tls/secret.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/base/str.h"
#include "proxy/config/loader.h"
#include "proxy/tls/validation_config.h"
#include "proxy/tls/wipe.h"
#include "tests/support/test_ca.h"

namespace pillion::tls {
namespace {

using pillion::testing::TestCa;
using ::testing::HasSubstr;
using ::testing::Not;

std::string quoted(const std::string& pem) {
  std::string out = "\"";
  for (const char c : pem) c == '\n' ? out += "\\n" : out += c;
  return out + '"';
}

struct Parsed {
  explicit Parsed(const std::string& yaml) {
    document = config::load_text(yaml, "f.yaml", errors);
    if (document != nullptr) secret = parse_secret(document->root(errors), name);
    messages = errors.to_string();
  }
  config::Errors errors;
  config::DocumentPtr document;
  std::string name, messages;
  SecretPtr secret;
};

struct ParsedRef {
  explicit ParsedRef(const std::string& yaml, SecretKind kind = SecretKind::kCertificate) {
    document = config::load_text(yaml, "f.yaml", errors);
    const config::Node root = document->root(errors);
    ref = parse_secret_ref(root.has("ref") ? root["ref"] : root, kind);
    messages = errors.to_string();
  }
  config::Errors errors;
  config::DocumentPtr document;
  std::string messages;
  std::optional<SecretRef> ref;
};

TEST(Secret, IsReadOfEachKind) {
  const TestCa ca;
  const CertificateConfig leaf = ca.certificate("spiffe://a/b");
  const Parsed certificate(str("{ name: default, tls_certificate: { certificate_chain: { ",
                               "inline_string: ", quoted(leaf.chain_pem),
                               " }, private_key: { inline_string: ", quoted(leaf.key_pem),
                               " } } }"));
  ASSERT_NE(certificate.secret, nullptr) << certificate.messages;
  EXPECT_EQ(certificate.name, "default");
  EXPECT_EQ(std::get<CertificateConfig>(certificate.secret->value).key_pem, leaf.key_pem);
  // A part: the names that must match stand in the default context.
  const Parsed roots(str("{ name: ROOTCA, validation_context: { trusted_ca: { inline_string: ",
                         quoted(ca.pem()), " } } }"));
  ASSERT_NE(roots.secret, nullptr) << roots.messages;
  EXPECT_EQ(roots.secret->kind(), SecretKind::kValidation);
  const Parsed tickets(str("{ name: t, session_ticket_keys: { keys: [ { inline_bytes: ",
                           std::string(107, 'A'), "= } ] } }"));
  ASSERT_NE(tickets.secret, nullptr) << tickets.messages;
  EXPECT_EQ(std::get<TicketKeys>(tickets.secret->value).keys.size(), 1u);
  const Parsed generic("{ name: g, generic_secret: { secret: { inline_string: s3cret } } }");
  ASSERT_NE(generic.secret, nullptr) << generic.messages;
  EXPECT_EQ(std::get<GenericSecret>(generic.secret->value).texts.at(""), "s3cret");
}

TEST(Secret, IsNotShownWhereAnotherKindOfValueIsExpected) {
  const char* const cases[] = {
      "{ name: x, generic_secret: s3cret }",
      "{ name: x, generic_secret: { secret: s3cret } }",
      "{ name: x, generic_secret: { secrets: s3cret } }",
      "{ name: x, genericSecret: { secrets: { a: s3cret } } }",
      "{ name: x, session_ticket_keys: s3cret }",
      "{ name: x, session_ticket_keys: { keys: s3cret } }",
      "{ name: x, session_ticket_keys: { keys: [ s3cret ] } }",
      "{ name: x, tls_certificate: s3cret }",
      "{ name: x, tls_certificate: { certificate_chain: { inline_string: a }, "
      "private_key: s3cret } }",
      "{ name: x, tls_certificate: { certificate_chain: { inline_string: a }, "
      "privateKey: { inline_string: [ s3cret ] } } }",
  };
  for (const char* yaml : cases) {
    const Parsed parsed(yaml);
    EXPECT_EQ(parsed.secret, nullptr) << yaml;
    EXPECT_THAT(parsed.messages, HasSubstr("expected a")) << yaml;
    EXPECT_THAT(parsed.messages, Not(HasSubstr("s3cret"))) << yaml;
  }
  // What is no secret helps to see what is wrong.
  const Parsed chain("{ name: x, tls_certificate: { certificate_chain: a.crt, private_key: b } }");
  EXPECT_THAT(chain.messages, HasSubstr("expected a mapping, got a.crt"));
}

TEST(Secret, IsRefusedWithItsPlaceAndWithoutItsContents) {
  const TestCa ca;
  const CertificateConfig leaf = ca.certificate("spiffe://a/b");
  const CertificateConfig other = ca.certificate("spiffe://a/c");
  const std::string cut = leaf.key_pem.substr(0, leaf.key_pem.size() / 2);
  const auto certificate = [&leaf](const std::string& key) {
    return str("{ name: x, tls_certificate: { certificate_chain: { inline_string: ",
               quoted(leaf.chain_pem), " }, private_key: ", key, " } }");
  };
  struct Case {
    std::string yaml;
    const char* message;
  };
  const Case cases[] = {
      {certificate(str("{ inline_string: ", quoted(other.key_pem), " }")),
       "tls_certificate.private_key: <inline>: the private key does not belong"},
      {certificate(str("{ inline_string: ", quoted(cut), " }")),
       "tls_certificate.private_key: <inline>: "},
      {certificate(quoted(leaf.key_pem)), "tls_certificate.private_key: expected a mapping"},
      {certificate(str("{ inline_bytes: ", quoted(leaf.key_pem), " }")), "expected base64"},
      {certificate(str("{ filename: ", quoted(leaf.key_pem), " }")), "use inline_string"},
      {"{ name: x }", "expected one of tls_certificate, validation_context"},
      {"{ name: x, tls_certificates: {} }", "unknown field"},
      {"{ name: x, session_ticket_keys: { keys: [ { inline_string: short } ] } }",
       "a ticket key has 80 bytes, this one 5"},
      {"{ name: x, generic_secret: {} }", "expected secret or secrets"},
  };
  for (const Case& c : cases) {
    const Parsed parsed(c.yaml);
    EXPECT_EQ(parsed.secret, nullptr) << c.message;
    EXPECT_THAT(parsed.messages, HasSubstr(c.message));
    EXPECT_THAT(parsed.messages, Not(HasSubstr(leaf.key_pem.substr(40, 20)))) << "a key leaks";
    EXPECT_THAT(parsed.messages, Not(HasSubstr(other.key_pem.substr(40, 20)))) << "a key leaks";
  }
}

TEST(SecretRef, NamesItsSource) {
  const std::string grpc =
      "api_config_source: { api_type: GRPC, transport_api_version: V3, grpc_services: [ { "
      "envoy_grpc: { cluster_name: agent } } ] }";
  const ParsedRef by_grpc(str("{ name: default, sds_config: { ", grpc,
                              ", initial_fetch_timeout: 3s, resource_api_version: V3 } }"));
  ASSERT_TRUE(by_grpc.ref) << by_grpc.messages;
  EXPECT_EQ(std::get<SecretSource::Grpc>(by_grpc.ref->source->how).service.cluster.value, "agent");
  EXPECT_EQ(by_grpc.ref->timeout, std::chrono::seconds(3));
  const ParsedRef by_ads("{ name: default, sds_config: { ads: {} } }");
  ASSERT_TRUE(by_ads.ref) << by_ads.messages;
  EXPECT_EQ(by_ads.ref->source->key, "ads");
  const ParsedRef by_path(
      "{ name: a, sds_config: { path_config_source: { path: /etc/s.yaml, watched_directory: { "
      "path: "
      "/etc } } } }");
  ASSERT_TRUE(by_path.ref) << by_path.messages;
  EXPECT_EQ(std::get<SecretSource::Path>(by_path.ref->source->how).path, "/etc/s.yaml");
  const ParsedRef fixed(
      "{ ref: { name: g }, static_resources: { secrets: [ { name: g, generic_secret: { secret: { "
      "inline_string: x } } } ] } }",
      SecretKind::kGeneric);
  ASSERT_TRUE(fixed.ref) << fixed.messages;
  EXPECT_NE(fixed.ref->initial, nullptr);
  const ParsedRef in_json_names(
      "{ ref: { name: g }, staticResources: { secrets: [ { name: other }, { name: g, "
      "genericSecret: { secret: { inlineString: x } } } ] } }",
      SecretKind::kGeneric);
  EXPECT_TRUE(in_json_names.ref) << in_json_names.messages;
}

TEST(SecretRef, IsRefusedByName) {
  struct Case {
    const char* yaml;
    const char* message;
  };
  const Case cases[] = {
      {"{ sds_config: { ads: {} } }", "name: required field is missing"},
      {"{ name: a }", "f.yaml:1:9: name: unknown secret \"a\": static_resources.secrets has no"},
      {"{ name: a, sds_config: {} }", "expected one of ads, path"},
      {"{ name: a, sds_config: { ads: {}, authorities: [ {} ] } }", "sds_config.authorities: "},
      {"{ name: a, sds_config: { ads: { x: 1 } } }", "unknown field"},
      {"{ name: a, sds_config: { api_config_source: { api_type: REST, grpc_services: [ { "
       "envoy_grpc: { cluster_name: c } } ] } } }",
       "nothing is polled: use GRPC"},
      {"{ name: a, sds_config: { api_config_source: { api_type: GRPC, grpc_services: [ { "
       "google_grpc: { target_uri: c, call_credentials: [ { access_token: t } ] } } ] } } }",
       "google_grpc.call_credentials: "},
      {"{ name: a, sds_config: { ads: {}, resource_api_version: V2 } }", "resource_api_version"},
      {"{ name: a, other: 1, sds_config: { ads: {} } }", "other: unknown field"},
      {"{ name: 'xdstp://x/a', sds_config: { ads: {} } }",
       "name: expected a name that is no xdstp"},
  };
  for (const Case& c : cases) {
    const ParsedRef parsed(c.yaml);
    EXPECT_FALSE(parsed.ref) << c.yaml;
    EXPECT_THAT(parsed.messages, HasSubstr(c.message));
  }
}

TEST(Secret, MergesAsProtobufDoes) {
  ValidationConfig base, over;
  base.sans.push_back({SanType::kUri, SanMatcher::Kind::kExact, false, "spiffe://a"});
  base.max_verify_depth = 5;
  base.crl_pem = "old crl";
  over.trusted_ca_pem = "ca";
  over.trusted_ca_source = "sds";
  over.sans.push_back({SanType::kDns, SanMatcher::Kind::kExact, false, "b"});
  over.allow_expired = true;
  const ValidationConfig merged = merge(base, over);
  EXPECT_EQ(merged.trusted_ca_pem, "ca");
  EXPECT_EQ(merged.trusted_ca_source, "sds");
  EXPECT_EQ(merged.crl_pem, "old crl");
  EXPECT_EQ(merged.sans.size(), 2u);
  EXPECT_EQ(merged.max_verify_depth, 5u);
  EXPECT_TRUE(merged.allow_expired);
  EXPECT_FALSE(merged.accept_untrusted);
}

TEST(Secret, IsWiped) {
  std::string text(100, 'k');
  const char* at = text.data();
  wipe(text);
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(text.data(), at) << "nothing was moved";
  EXPECT_EQ(std::string(at, 100), std::string(100, '\0'));
}

}  // namespace
}  // namespace pillion::tls
