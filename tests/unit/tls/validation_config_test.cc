#include "proxy/tls/validation_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/base/str.h"
#include "proxy/config/loader.h"
#include "proxy/tls/verify.h"
#include "tests/support/test_ca.h"

namespace pillion::tls {
namespace {

using pillion::testing::TestCa;
using ::testing::HasSubstr;

// A block scalar with this text, `indent` spaces in.
std::string block(const std::string& text, size_t indent) {
  std::string out = "|\n" + std::string(indent, ' ');
  for (const char c : text) {
    out += c;
    if (c == '\n') out += std::string(indent, ' ');
  }
  return out + "\n";
}

class ValidationConfigTest : public ::testing::Test {
 protected:
  ValidationConfig parse(const std::string& yaml,
                         Completeness completeness = Completeness::kWhole) {
    config::Errors errors;
    const auto document = config::load_text(yaml, "f.yaml", errors);
    ValidationConfig out;
    if (document != nullptr)
      out = parse_validation(document->root(errors), FileUse::kPart, completeness);
    messages_ = errors.to_string();
    return out;
  }
  static std::string validator(const std::string& more) {
    return "custom_validator_config:\n  name: spiffe\n  typed_config:\n    \"@type\": "
           "type.googleapis.com/"
           "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig\n" +
           more;
  }
  static std::string domain(const std::string& name, const std::string& pem) {
    return str("    - name: ", name,
               "\n      trust_bundle:\n        inline_string: ", block(pem, 10));
  }
  std::string messages_;
  const TestCa mesh_{"Mesh CA"};
  const TestCa other_{"Other CA"};
};

TEST_F(ValidationConfigTest, ReadsABundleForEachTrustDomain) {
  const auto v = parse(validator("    trust_domains:\n" + domain("mesh.local", mesh_.pem()) +
                                 domain("other.local", other_.pem())));
  EXPECT_EQ(messages_, "");
  ASSERT_EQ(v.trust_domains.size(), 2u);
  EXPECT_EQ(v.trust_domains[0].name, "mesh.local");
  EXPECT_EQ(v.trust_domains[1].name, "other.local");
  const auto verifier = Verifier::make(v, Role::kServer);
  ASSERT_TRUE(verifier);
  EXPECT_EQ((*verifier)->trusted().size(), 2u);
  EXPECT_EQ((*verifier)->ca_names().size(), 2u);
  EXPECT_EQ((*verifier)->requirement(),
            "a SPIFFE id of the trust domain mesh.local or other.local");
}

TEST_F(ValidationConfigTest, ReadsAMapOfBundles) {
  // The PEM without its frame is the base64 that x5c wants.
  std::string base64;
  for (const char c : mesh_.pem().substr(27, mesh_.pem().find("-----END") - 27)) {
    if (c != '\n') base64 += c;
  }
  const std::string map = str(
      R"({"trust_domains": {"mesh.local": {"spiffe_sequence": 1, "keys": [{"use": "jwt-svid", "kid": "1"},)",
      R"({"kty": "EC", "use": "x509-svid", "x5c": [")", base64, R"("]}]}}})");
  const auto v = parse(validator(str("    trust_bundles: { inline_string: '", map, "' }\n")));
  EXPECT_EQ(messages_, "");
  ASSERT_EQ(v.trust_domains.size(), 1u);
  EXPECT_EQ(v.trust_domains[0].name, "mesh.local");
  EXPECT_TRUE(Verifier::make(v, Role::kServer));
}

TEST_F(ValidationConfigTest, WhatProvesNothingIsAnError) {
  const std::string good = domain("mesh.local", mesh_.pem());
  const std::pair<std::string, const char*> cases[] = {
      {validator(""), "expected at least one trust domain"},
      {validator("    trust_domains: []\n"), "expected at least one trust domain"},
      {validator("    trust_domains:\n" + domain("Mesh.Local", mesh_.pem())),
       "trust domain Mesh.Local: expected lower-case"},
      {validator("    trust_domains:\n" + domain("mesh.local", "junk")),
       "mesh.local: no certificate"},
      {validator("    trust_domains:\n" + good + good), "a second bundle of mesh.local"},
      {validator("    trust_domains:\n" + good + "      workload_trust_domain: a\n"),
       "workload_trust_domain: known to Envoy v3 but not supported"},
      {validator("    trust_bundles: { inline_string: 'x' }\n"), "trust_bundles: no JSON"},
      {validator("    trust_bundles: { inline_string: '{}' }\n"),
       "expected at least one trust domain"},
      {validator(
           "    trust_bundles: { inline_string: '{\"trust_domains\":{\"a\":{\"keys\":[]}}}' }\n"),
       "a: no certificate"},
      {validator(
           "    trust_bundles: { inline_string: "
           "'{\"trust_domains\":{\"a\":{\"keys\":[{\"use\":\"x509-svid\",\"x5c\":[]}]}}}' }\n"),
       "a: expected one certificate in x5c"},
      {validator("    trust_domains:\n" + good) +
           "trusted_ca:\n  inline_string: " + block(mesh_.pem(), 4),
       "trusted_ca and custom_validator_config exclude each other"},
      {"custom_validator_config: { name: a, typed_config: { \"@type\": type.googleapis.com/x.Y } "
       "}\n",
       "unsupported validator x.Y"},
      {"custom_validator_config: { name: a }\n", "typed_config"},
      {"match_typed_subject_alt_names: [ { san_type: URI, matcher: { exact: a } } ]\n",
       "matching subject alternative names needs trusted_ca"},
  };
  for (const auto& [yaml, message] : cases) {
    (void)parse(yaml);
    EXPECT_THAT(messages_, HasSubstr(message)) << yaml;
  }
}

TEST_F(ValidationConfigTest, APartMayLackWhatTheOtherHas) {
  const auto v = parse(
      "match_typed_subject_alt_names: [ { san_type: URI, matcher: { safe_regex: { regex: 'a+' } } "
      "} "
      "]\nmax_verify_depth: 3\n",
      Completeness::kPart);
  EXPECT_EQ(messages_, "");
  ASSERT_EQ(v.sans.size(), 1u);
  EXPECT_TRUE(v.sans[0].matches({SanType::kUri, "aaa"}));
  EXPECT_NE(what_is_missing(v), "");
  const ValidationConfig both = merge(v, mesh_.validation());
  EXPECT_EQ(what_is_missing(both), "");
  EXPECT_EQ(both.trusted_ca_pem, mesh_.pem());
  EXPECT_EQ(both.sans.size(), 1u);
  EXPECT_EQ(both.max_verify_depth, 3u);
}

TEST_F(ValidationConfigTest, MergesAsProtobufDoes) {
  ValidationConfig base = mesh_.validation();
  base.sans = {{SanType::kUri, SanMatcher::Kind::kExact, false, "a"}};
  base.certificate_hashes = {Sha256{1}};
  base.allow_expired = true;
  base.max_verify_depth = 2;
  base.crl_pem = "old";
  ValidationConfig over = other_.validation();
  over.sans = {{SanType::kDns, SanMatcher::Kind::kExact, false, "b"}};
  over.certificate_hashes = {Sha256{2}};
  over.spki_hashes = {Sha256{3}};
  over.crl_leaf_only = true;
  const ValidationConfig both = merge(base, over);
  EXPECT_EQ(both.trusted_ca_pem, other_.pem());
  ASSERT_EQ(both.sans.size(), 2u);
  EXPECT_EQ(both.sans[0].text, "a");
  EXPECT_EQ(both.sans[1].text, "b");
  EXPECT_EQ(both.certificate_hashes, (std::vector<Sha256>{Sha256{1}, Sha256{2}}));
  EXPECT_EQ(both.spki_hashes, (std::vector<Sha256>{Sha256{3}}));
  EXPECT_TRUE(both.allow_expired);
  EXPECT_TRUE(both.crl_leaf_only);
  EXPECT_EQ(both.max_verify_depth, 2u);
  EXPECT_EQ(both.crl_pem, "old");
  EXPECT_EQ(merge(base, {}).trusted_ca_pem, mesh_.pem());
  ValidationConfig domains;
  domains.trust_domains = {{"mesh.local", mesh_.pem()}};
  EXPECT_NE(what_is_missing(merge(base, domains)), "") << "two ways to trust";
}

}  // namespace
}  // namespace pillion::tls
