#include "proxy/tls/context_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "proxy/base/base64.h"
#include "proxy/base/str.h"
#include "proxy/config/loader.h"
#include "proxy/tls/context.h"
#include "proxy/tls/data_source.h"
#include "proxy/tls/secret.h"
#include "proxy/tls/ticket_keyring.h"
#include "tests/support/ocsp_response.h"
#include "tests/support/test_ca.h"

namespace pillion::tls {
namespace {

using pillion::testing::TestCa;

// Files that the configurations below name as CA, CERT, KEY, OTHERKEY, JUNK.
class ContextConfigTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = str(::testing::TempDir(), "context_config_test_", ::getpid(), "/");
    std::filesystem::create_directories(folder_);
    const TestCa ca;
    const Issued leaf = ca.issue({{SanType::kUri, "spiffe://mesh.local/users"}});
    write("CA", ca.pem());
    write("CERT", leaf.certificate_pem);
    write("KEY", leaf.key_pem);
    write("OTHERKEY", ca.own().key_pem);
    write("JUNK", "junk\n");
    write("OCSP", ocsp::encode({leaf.certificate_pem}));
    const CertificateConfig demanding = ocsp::must_staple(ca, "spiffe://mesh.local/users");
    write("MUSTCERT", demanding.chain_pem);
    write("MUSTKEY", demanding.key_pem);
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }
  static void write(const char* name, const std::string& text) {
    std::ofstream(folder_ + name) << text;
  }

  // "@CA" in `text` becomes the file's name; in messages the folder becomes "@" again.
  static std::string with_files(std::string text) {
    for (size_t at = text.find('@'); at != text.npos; at = text.find('@', at + folder_.size())) {
      text.replace(at, 1, folder_);
    }
    return text;
  }
  ContextConfig parse(Role role, const std::string& yaml, SecretRefs* secrets = nullptr) {
    config::Errors errors;
    const auto document = config::load_text(with_files(yaml), "f.yaml", errors);
    ContextConfig out;
    if (document != nullptr) {
      const config::Node root = document->root(errors);
      out = role == Role::kServer ? parse_downstream_tls_context(root, secrets)
                                  : parse_upstream_tls_context(root, secrets);
    }
    files_ = errors.files();
    messages_ = errors.to_string() + errors.to_string(config::Severity::kWarning);
    for (size_t at = messages_.find(folder_); at != messages_.npos; at = messages_.find(folder_)) {
      messages_.replace(at, folder_.size(), "@");
    }
    return out;
  }
  // The common part of a server that is good but for `more`.
  static std::string server_with(const std::string& more) {
    return "common_tls_context:\n"
           "  tls_certificates: [ { certificate_chain: { filename: @CERT }, private_key: { "
           "filename: @KEY } "
           "} ]\n" +
           more;
  }
  static std::string folder_;
  std::string messages_;
  std::set<std::string> files_;  // that are a part of the configuration
};
std::string ContextConfigTest::folder_;

TEST_F(ContextConfigTest, ReadsAServersContext) {
  const ContextConfig c = parse(Role::kServer, R"(
require_client_certificate: true
require_sni: true
session_timeout: 60s
common_tls_context:
  alpn_protocols: [ h2, http/1.1 ]
  tls_params:
    tls_minimum_protocol_version: TLSv1_2
    tls_maximum_protocol_version: TLSv1_3
    cipher_suites: [ "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]" ]
    ecdh_curves: [ X25519MLKEM768, X25519 ]
  tls_certificates:
  - certificate_chain: { filename: "@CERT" }
    private_key: { filename: "@KEY" }
  validation_context:
    trusted_ca: { filename: "@CA" }
    match_typed_subject_alt_names:
    - { san_type: URI, matcher: { prefix: "spiffe://mesh.local/" } }
    - { san_type: DNS, matcher: { exact: users.shop, ignore_case: true } }
    - { san_type: IP_ADDRESS, matcher: { exact: "0:0::1" } }
    verify_certificate_hash: [ "AB:CD:EF:01:23:45:67:89:ab:cd:ef:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:ab:cd:ef:01:23:45:67:89" ]
    verify_certificate_spki: [ "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=" ]
    max_verify_depth: 2
    only_verify_leaf_cert_crl: true
    allow_expired_certificate: true
    trust_chain_verification: ACCEPT_UNTRUSTED
)");
  EXPECT_EQ(messages_, "");
  EXPECT_EQ(c.role, Role::kServer);
  EXPECT_TRUE(c.require_client_certificate);
  EXPECT_TRUE(c.require_sni);
  EXPECT_TRUE(c.resumes_sessions);
  EXPECT_EQ(c.session_timeout, std::chrono::seconds(60));
  EXPECT_EQ(c.ticket_keyring, nullptr);
  EXPECT_EQ(c.min_version, Version::kTls12);
  EXPECT_EQ(c.max_version, Version::kTls13);
  EXPECT_EQ(c.alpn, (std::vector<std::string>{"h2", "http/1.1"}));
  EXPECT_EQ(c.groups.size(), 2u);
  ASSERT_EQ(c.certificates.size(), 1u);
  EXPECT_EQ(c.certificates[0].source, folder_ + "CERT");
  ASSERT_TRUE(c.validation);
  EXPECT_EQ(c.validation->trusted_ca_source, folder_ + "CA");
  ASSERT_EQ(c.validation->sans.size(), 3u);
  EXPECT_EQ(c.validation->sans[0].kind, SanMatcher::Kind::kPrefix);
  EXPECT_TRUE(c.validation->sans[1].ignore_case);
  EXPECT_EQ(c.validation->sans[2].text, "::1");
  ASSERT_EQ(c.validation->certificate_hashes.size(), 1u);
  ASSERT_EQ(c.validation->spki_hashes.size(), 1u);
  EXPECT_EQ(c.validation->certificate_hashes[0][0], 0xab);
  EXPECT_EQ(c.validation->certificate_hashes[0], c.validation->spki_hashes[0]);
  EXPECT_EQ(c.validation->max_verify_depth, 2u);
  EXPECT_TRUE(c.validation->crl_leaf_only);
  EXPECT_TRUE(c.validation->allow_expired);
  EXPECT_TRUE(c.validation->accept_untrusted);
  EXPECT_TRUE(Context::make(c));
}

TEST_F(ContextConfigTest, ReadsAClientsContext) {
  const ContextConfig c = parse(Role::kClient, R"(
sni: users.shop
auto_host_sni: true
auto_sni_san_validation: true
max_session_keys: 4
common_tls_context: { validation_context: { trusted_ca: { filename: "@CA" } } }
)");
  EXPECT_EQ(messages_, "");
  EXPECT_EQ(c.role, Role::kClient);
  EXPECT_EQ(c.sni, "users.shop");
  EXPECT_TRUE(c.auto_host_sni);
  EXPECT_TRUE(c.auto_sni_san_validation);
  EXPECT_EQ(c.max_session_keys, 4u);
  EXPECT_EQ(c.min_version, Version::kTls13);
  EXPECT_TRUE(Context::make(c));
}

TEST_F(ContextConfigTest, ReadsWhichSessionsAServerResumes) {
  const ContextConfig by_default = parse(Role::kServer, server_with(""));
  EXPECT_TRUE(by_default.resumes_sessions);
  EXPECT_EQ(by_default.session_timeout, std::chrono::hours(2));
  const std::string key =
      str("session_ticket_keys: { keys: [ { inline_bytes: ", encode_base64(std::string(80, 'k')),
          " } ] }\n");
  const ContextConfig given = parse(Role::kServer, server_with(key));
  EXPECT_EQ(messages_, "");
  ASSERT_NE(given.ticket_keyring, nullptr);
  EXPECT_TRUE(given.ticket_keyring->is_given());
  EXPECT_EQ(given.ticket_keyring->size(), 1u);
  for (const char* none : {"disable_stateless_session_resumption: true\n", "session_timeout: 0s\n",
                           "session_timeout: 0.9s\ndisable_stateful_session_resumption: true\n"}) {
    EXPECT_FALSE(parse(Role::kServer, server_with(none)).resumes_sessions) << none;
    EXPECT_EQ(messages_, "");
  }
  EXPECT_EQ(parse(Role::kServer, server_with("session_timeout: 700000s\n")).session_timeout,
            std::chrono::hours(7 * 24));
  EXPECT_EQ(messages_,
            "f.yaml:3:18: session_timeout: warning: sessions end after 7 days (RFC 8446, 4.6.1)\n");
  (void)parse(Role::kServer, server_with(key + "disable_stateless_session_resumption: true\n"));
  EXPECT_THAT(messages_, ::testing::HasSubstr("disable_stateless_session_resumption"));
  (void)parse(Role::kServer, server_with("session_timeout: -1s\n"));
  EXPECT_THAT(messages_, ::testing::HasSubstr("session_timeout: "));
  EXPECT_EQ(parse(Role::kClient, "max_session_keys: 0\ncommon_tls_context: {}\n").max_session_keys,
            0u);
}

TEST_F(ContextConfigTest, AnOldSanMatcherIsForAnyType) {
  const ContextConfig c = parse(Role::kClient, R"(
common_tls_context:
  validation_context: { trusted_ca: { filename: "@CA" }, match_subject_alt_names: [ { exact: a } ] }
)");
  EXPECT_EQ(messages_, "");
  EXPECT_EQ(c.validation->sans.size(), 4u);
}

// With an OCSP response, and a policy for them.
std::string stapled(const std::string& staple, const std::string& policy, const char* pair = "") {
  return str("common_tls_context: { tls_certificates: [ { certificate_chain: { filename: @", pair,
             "CERT }, private_key: { filename: @", pair, "KEY }", staple, " } ] }\n",
             "ocsp_staple_policy: ", policy, "\n");
}

TEST_F(ContextConfigTest, FollowsAnOcspResponseWithTheFilesOfItsCertificate) {
  SecretRefs secrets;
  ContextConfig c =
      parse(Role::kServer, stapled(", ocsp_staple: { filename: @OCSP }", "MUST_STAPLE"), &secrets);
  EXPECT_EQ(messages_, "");
  EXPECT_TRUE(c.certificates.empty());
  ASSERT_EQ(secrets.certificates.size(), 1u);
  const SecretRef& ref = secrets.certificates.front();
  EXPECT_EQ(std::get<SecretSource::Files>(ref.source->how).staple, folder_ + "OCSP");
  EXPECT_FALSE(std::get<CertificateConfig>(ref.initial->value).ocsp_staple.empty());
  EXPECT_THAT(files_, ::testing::IsEmpty());
  // One that stands in the configuration itself is about the one certificate that is there now.
  SecretRefs none;
  c = parse(Role::kServer,
            stapled(str(", ocsp_staple: { inline_bytes: \"",
                        encode_base64(*read_file(folder_ + "OCSP")), "\" }"),
                    "MUST_STAPLE"),
            &none);
  EXPECT_EQ(messages_, "");
  EXPECT_EQ(c.certificates.size(), 1u);
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(files_.size(), 2u);
}

TEST_F(ContextConfigTest, HoldsFilesThatAreFollowedToTheOcspPolicy) {
  struct Case {
    std::string yaml, message;
  };
  const Case cases[] = {
      {stapled("", "MUST_STAPLE"),
       "f.yaml:2:21: ocsp_staple_policy: @CERT has no ocsp_staple, and ocsp_staple_policy is "
       "MUST_STAPLE\n"},
      {stapled("", "LENIENT_STAPLING", "MUST"),
       "f.yaml:1:1: @MUSTCERT demands an ocsp_staple (TLS feature), and has none\n"},
      {stapled(", ocsp_staple: { filename: @OCSP }", "LENIENT_STAPLING", "MUST"),
       "f.yaml:1:129: common_tls_context.tls_certificates[0].ocsp_staple: @OCSP: the OCSP response "
       "is about another certificate\n"},
  };
  for (const auto& [yaml, message] : cases) {
    SecretRefs secrets;
    (void)parse(Role::kServer, yaml, &secrets);
    const size_t place = message.find(": ");
    EXPECT_THAT(messages_, ::testing::HasSubstr(message.substr(place))) << yaml;
    EXPECT_THAT(messages_, ::testing::StartsWith("f.yaml:")) << yaml;
  }
}

TEST_F(ContextConfigTest, AServerNeedsACertificate) {
  (void)parse(Role::kServer, "common_tls_context: {}\n");
  EXPECT_EQ(
      messages_,
      "f.yaml:1:21: common_tls_context: tls_certificates: expected at least one certificate\n");
  (void)parse(Role::kServer, "require_sni: true\n");
  EXPECT_THAT(messages_, ::testing::HasSubstr("common_tls_context"));
}

TEST_F(ContextConfigTest, AClientCertificateThatNobodyVerifiesIsAWarning) {
  (void)parse(Role::kServer, server_with("require_client_certificate: true\n"));
  EXPECT_EQ(messages_,
            "f.yaml:3:29: require_client_certificate: warning: client certificates are asked for, "
            "but not verified "
            "(common_tls_context.validation_context is missing)\n");
}

TEST_F(ContextConfigTest, ReportsNothingThatOnlyFollowsFromAnUnreadableFile) {
  (void)parse(Role::kServer,
              server_with("  validation_context: { trusted_ca: { filename: @NONE }, "
                          "match_typed_subject_alt_names: [ { san_type: URI, matcher: { prefix: a "
                          "} } ] }\nrequire_client_certificate: true\n"));
  EXPECT_THAT(messages_, ::testing::HasSubstr("cannot read "));
  EXPECT_EQ(std::count(messages_.begin(), messages_.end(), '\n'), 1) << messages_;
  (void)parse(Role::kClient,
              "sni: a.b\nauto_sni_san_validation: true\ncommon_tls_context: { "
              "validation_context: { trusted_ca: { filename: @NONE } } }\n");
  EXPECT_THAT(messages_, ::testing::HasSubstr("cannot read "));
  EXPECT_EQ(std::count(messages_.begin(), messages_.end(), '\n'), 1) << messages_;
}

TEST_F(ContextConfigTest, NamesPlaceAndFaultOfBadServers) {
  struct Case {
    const char* more;
    const char* message;
  };
  const Case cases[] = {
      {"  bogus: 1\n", "f.yaml:3:3: common_tls_context.bogus: unknown field"},
      {"bogus: 1\n", "f.yaml:3:1: bogus: unknown field"},
      {"  custom_handshaker: {}\n",
       "f.yaml:3:3: common_tls_context.custom_handshaker: known to Envoy v3 but not supported"},
      {"  key_log: { remote_address_range: [ { address_prefix: 10.0.0.0, prefix_len: 40 } ] }\n",
       "common_tls_context.key_log"},
      {"  tls_certificate_sds_secret_configs: [ { name: a } ]\n",
       "common_tls_context.tls_certificate_sds_secret_configs: "},
      {"session_ticket_keys: {}\n", "session_ticket_keys.keys: expected at least one key"},
      {"ocsp_staple_policy: MUST_STAPLE\n",
       "CERT has no ocsp_staple, and ocsp_staple_policy is MUST_STAPLE\n"},
      {"prefer_client_ciphers: true\n",
       "f.yaml:3:24: prefer_client_ciphers: the server's order of cipher suites is always used\n"},
      {"  tls_params: { tls_minimum_protocol_version: TLSv1_0 }\n",
       "TLS 1.0 is broken; TLSv1_2 is the least"},
      {"  tls_params: { tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: "
       "TLSv1_2 }\n",
       "f.yaml:3:47: common_tls_context.tls_params.tls_minimum_protocol_version: above "
       "tls_maximum_protocol_version\n"},
      {"  tls_params: { cipher_suites: [ ECDHE-ECDSA-AES128-GCM-SHA256, NO-SUCH ] }\n",
       "f.yaml:3:65: common_tls_context.tls_params.cipher_suites[1]: expected a name that "
       "BoringSSL knows, "
       "got "
       "NO-SUCH\n"},
      {"  tls_params: { ecdh_curves: [ P-257 ] }\n",
       "common_tls_context.tls_params.ecdh_curves[0]: expected a name"},
      {"  tls_params: { signature_algorithms: [ rot13 ] }\n",
       "tls_params.signature_algorithms[0]: expected a name"},
      {"  validation_context: { trusted_ca: { filename: @NONE } }\n",
       "f.yaml:3:49: common_tls_context.validation_context.trusted_ca.filename: cannot read @NONE: "
       "No such "
       "file"},
      {"  validation_context: { trusted_ca: { filename: @JUNK } }\n",
       "f.yaml:3:37: common_tls_context.validation_context.trusted_ca: @JUNK: no certificate in "
       "it"},
      {"  validation_context: { match_typed_subject_alt_names: [ { san_type: URI, matcher: { "
       "exact: a } } ] "
       "}\n",
       "common_tls_context.validation_context: matching subject alternative names needs "
       "trusted_ca"},
      {"  validation_context: { trusted_ca: { filename: @CA }, crl: { filename: @CA } }\n",
       "common_tls_context.validation_context.crl: no revocation list in it"},
      {"  validation_context: { crl: { filename: @CA } }\n",
       "common_tls_context.validation_context.crl: a revocation list needs trusted_ca"},
      {"  validation_context: { trusted_ca: { filename: @CA }, match_typed_subject_alt_names: [ { "
       "san_type: "
       "URI, "
       "matcher: { prefix: '' } } ] }\n",
       "match_typed_subject_alt_names[0].matcher.prefix: expected a string that is not empty"},
      {"  validation_context: { trusted_ca: { filename: @CA }, match_typed_subject_alt_names: [ { "
       "san_type: URI, matcher: { safe_regex: { regex: 'a(' } } } ] }\n",
       "match_typed_subject_alt_names[0].matcher.safe_regex"},
      {"  validation_context: { trusted_ca: { filename: @CA }, match_typed_subject_alt_names: [ { "
       "san_type: URI, matcher: { custom: {} } } ] }\n",
       "match_typed_subject_alt_names[0].matcher.custom: "},
      {"  validation_context: { trusted_ca: { filename: @CA }, match_typed_subject_alt_names: [ { "
       "san_type: "
       "IP_ADDRESS, matcher: { exact: 10.0 } } ] }\n",
       "match_typed_subject_alt_names[0].matcher.exact: expected an IP address, got 10.0"},
      {"  validation_context: { trusted_ca: { filename: @CA }, match_typed_subject_alt_names: [ { "
       "matcher: { "
       "exact: "
       "a } } ] }\n",
       "match_typed_subject_alt_names[0]"},
      {"  validation_context: { trusted_ca: { filename: @CA }, match_typed_subject_alt_names: [ { "
       "san_type: "
       "OTHER_NAME, matcher: { exact: a } } ] }\n",
       "san_type: "},
      {"  validation_context: { verify_certificate_hash: [ abc ] }\n",
       "verify_certificate_hash[0]: expected a SHA-256 in hex, got abc"},
      {"  validation_context: { verify_certificate_spki: [ abc ] }\n",
       "verify_certificate_spki[0]: expected a SHA-256 in base64, got abc"},
      {"  validation_context: { trusted_ca: { filename: @CA }, max_verify_depth: 101 }\n",
       "max_verify_depth: expected 0-100, got 101"},
      {"  validation_context: { system_root_certs: {} }\n",
       "validation_context.system_root_certs: "},
      {"  alpn_protocols: [ '' ]\n",
       "common_tls_context.alpn_protocols[0]: expected a string that is not empty"},
  };
  for (const Case& c : cases) {
    (void)parse(Role::kServer, server_with(c.more));
    EXPECT_THAT(messages_, ::testing::HasSubstr(c.message)) << c.more;
    EXPECT_THAT(messages_, ::testing::StartsWith("f.yaml:3:")) << c.more;
  }
}

TEST_F(ContextConfigTest, NamesWhatIsWrongWithCertificates) {
  struct Case {
    const char* certificate;
    const char* message;
  };
  const Case cases[] = {
      {"certificate_chain: { filename: @CERT }", "private_key"},
      {"private_key: { filename: @KEY }", "certificate_chain"},
      {"certificate_chain: { filename: @JUNK }, private_key: { filename: @KEY }",
       "f.yaml:2:44: common_tls_context.tls_certificates[0].certificate_chain: @JUNK: no "
       "certificate in it"},
      {"certificate_chain: { filename: @CERT }, private_key: { filename: @JUNK }",
       "tls_certificates[0].private_key: @JUNK: no private key in it"},
      {"certificate_chain: { filename: @CERT }, private_key: { filename: @OTHERKEY }",
       "private_key: @OTHERKEY: the private key does not belong to the certificate (@CERT)"},
      {"certificate_chain: { filename: @CERT }, private_key: { filename: @KEY }, password: { "
       "inline_string: "
       "a }",
       "tls_certificates[0].password: "},
      {"certificate_chain: { filename: @CERT }, private_key: { filename: @KEY }, ocsp_staple: { "
       "filename: @JUNK }",
       "tls_certificates[0].ocsp_staple: @JUNK: no OCSP response in DER"},
      {"certificate_chain: { filename: @CERT }, private_key: { filename: @KEY }, pkcs12: { "
       "filename: a }",
       "tls_certificates[0].pkcs12: "},
  };
  for (const Case& c : cases) {
    (void)parse(Role::kServer, std::string("common_tls_context:\n  tls_certificates: [ { ") +
                                   c.certificate + " } ]\n");
    EXPECT_THAT(messages_, ::testing::HasSubstr(c.message)) << c.certificate;
  }
}

TEST_F(ContextConfigTest, NamesWhatIsWrongWithClients) {
  (void)parse(Role::kClient, "common_tls_context: {}\nsni: " + std::string(256, 'a') + "\n");
  EXPECT_THAT(messages_,
              ::testing::StartsWith("f.yaml:2:6: sni: expected a host name of at most 255 bytes"));
  (void)parse(Role::kClient, "common_tls_context: {}\nallow_renegotiation: true\n");
  EXPECT_EQ(messages_, "f.yaml:2:22: allow_renegotiation: renegotiation is never accepted\n");
}

// Several faults are told in one run.
TEST_F(ContextConfigTest, TellsAllFaultsAtOnce) {
  (void)parse(Role::kServer, "common_tls_context:\n  a: 1\n  b: 2\nc: 3\n");
  EXPECT_EQ(std::count(messages_.begin(), messages_.end(), '\n'), 4) << messages_;
}

}  // namespace
}  // namespace pillion::tls
