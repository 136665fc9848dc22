#include "proxy/tls/context.h"

#include <set>

#include "tests/support/log_capture.h"
#include "tests/unit/tls/transport_fixture.h"

namespace pillion::tls {
namespace {

TEST(Context, TheSameParametersGiveTheSameObject) {
  const auto a = context(server_config());
  EXPECT_EQ(a, context(server_config()));
  const std::weak_ptr<const Context> watch = a;
}

TEST(Context, NobodyKeepsItAlive) {
  ContextConfig config = server_config();
  config.alpn = {"only-here"};
  const std::weak_ptr<const Context> watch = context(config);
  EXPECT_TRUE(watch.expired());
  EXPECT_NE(context(config), nullptr);
}

TEST(Context, IsToldAtDebugWhenItIsMade) {
  testing::LogCapture log(log::Level::kDebug);
  ContextConfig config = server_config();
  config.certificates[0].source = "users.crt";
  const auto first = context(config);
  const auto again = context(config);
  EXPECT_EQ(log.count("[debug][tls] context made: role=server certificate=users.crt identity="), 1u)
      << log.text();
}

TEST(Context, EveryParameterTellsContextsApart) {
  using Change = void (*)(ContextConfig&);
  const Change changes[] = {
      [](ContextConfig&) {},
      [](ContextConfig& c) { c.role = Role::kClient; },
      [](ContextConfig& c) { c.min_version = Version::kTls12; },
      [](ContextConfig& c) { c.min_version = c.max_version = Version::kTls12; },
      [](ContextConfig& c) { c.cipher_suites = {"ECDHE-ECDSA-AES128-GCM-SHA256"}; },
      [](ContextConfig& c) { c.groups = {"P-256"}; },
      [](ContextConfig& c) { c.signature_algorithms = {"ecdsa_secp256r1_sha256"}; },
      [](ContextConfig& c) { c.alpn = {"h2"}; },
      [](ContextConfig& c) { c.alpn = {"h", "2"}; },
      [](ContextConfig& c) { c.certificates = {mesh_ca().certificate("spiffe://mesh.local/x")}; },
      [](ContextConfig& c) { c.certificates.push_back(c.certificates[0]); },
      [](ContextConfig& c) { c.certificates[0].source = "elsewhere"; },
      [](ContextConfig& c) { c.validation.reset(); },
      [](ContextConfig& c) { c.validation = other_ca().validation(); },
      [](ContextConfig& c) {
        c.validation->sans = {{SanType::kUri, SanMatcher::Kind::kExact, false, "a"}};
      },
      [](ContextConfig& c) {
        c.validation->sans = {{SanType::kDns, SanMatcher::Kind::kExact, false, "a"}};
      },
      [](ContextConfig& c) {
        c.validation->sans = {{SanType::kUri, SanMatcher::Kind::kPrefix, false, "a"}};
      },
      [](ContextConfig& c) {
        c.validation->sans = {{SanType::kUri, SanMatcher::Kind::kExact, true, "a"}};
      },
      [](ContextConfig& c) { c.validation->certificate_hashes = {Sha256{}}; },
      [](ContextConfig& c) { c.validation->spki_hashes = {Sha256{}}; },
      [](ContextConfig& c) { c.validation->max_verify_depth = 3; },
      [](ContextConfig& c) { c.validation->crl_leaf_only = true; },
      [](ContextConfig& c) { c.validation->allow_expired = true; },
      [](ContextConfig& c) { c.validation->accept_untrusted = true; },
      [](ContextConfig& c) { c.validation->suppress_client_ca_list = true; },
      [](ContextConfig& c) { c.require_client_certificate = false; },
      [](ContextConfig& c) { c.require_sni = true; },
      [](ContextConfig& c) { c.resumes_sessions = false; },
      [](ContextConfig& c) { c.session_timeout = std::chrono::seconds(60); },
      [](ContextConfig& c) { c.ticket_keyring = TicketKeyring::own(std::chrono::hours(1)); },
      [](ContextConfig& c) { c.ticket_keyring = TicketKeyring::own(std::chrono::hours(1)); },
      [](ContextConfig& c) { c.max_session_keys = 2; },
      [](ContextConfig& c) { c.sni = "a"; },
      [](ContextConfig& c) { c.auto_host_sni = true; },
      [](ContextConfig& c) { c.auto_sni_san_validation = true; },
  };
  std::set<std::shared_ptr<const Context>> all;
  for (const Change change : changes) {
    ContextConfig config = server_config();
    change(config);
    const auto made = context(config);
    EXPECT_TRUE(all.insert(made).second) << "change " << all.size();
  }
}

TEST(Context, NamesWhatCannotBeUsed) {
  const auto error = [](auto&& change) {
    ContextConfig config = server_config();
    change(config);
    const auto made = Context::make(config);
    return made ? std::string("none") : made.error();
  };
  EXPECT_EQ(error([](ContextConfig& c) { c.certificates.clear(); }),
            "a server needs a certificate");
  EXPECT_THAT(error([](ContextConfig& c) { c.certificates[0].key_pem = other_ca().own().key_pem; }),
              HasSubstr("<test>: the private key does not belong to the certificate"));
  EXPECT_THAT(error([](ContextConfig& c) { c.cipher_suites = {"NO-SUCH"}; }),
              HasSubstr("cipher_suites: "));
  EXPECT_THAT(error([](ContextConfig& c) { c.groups = {"NO-SUCH"}; }), HasSubstr("ecdh_curves: "));
  EXPECT_THAT(error([](ContextConfig& c) { c.signature_algorithms = {"NO-SUCH"}; }),
              HasSubstr("signature_algorithms: "));
  EXPECT_THAT(error([](ContextConfig& c) { c.validation->trusted_ca_pem = "junk"; }),
              HasSubstr("trusted_ca or crl: no certificate in it"));
}

TEST(Context, ShowsItsCertificates) {
  const auto made = context(server_config());
  ASSERT_EQ(made->identities().size(), 1u);
  const Context::Identity& identity = made->identities()[0];
  EXPECT_EQ(identity.uri_san, kUsers);
  EXPECT_EQ(identity.source, "<test>");
  EXPECT_EQ(identity.dns_names, std::vector<std::string>{"users.shop"});
  EXPECT_EQ(identity.chain.size(), 1u);
  EXPECT_EQ(made->identity_of(identity.credential), &identity);
  EXPECT_EQ(made->identity_of(nullptr), nullptr);
}

TEST(Context, WritesAlpnAsOnTheWire) {
  EXPECT_EQ(Context::to_alpn_wire({"h2", "http/1.1"}), std::string("\2h2\10http/1.1"));
  EXPECT_EQ(Context::to_alpn_wire({}), "");
}

}  // namespace
}  // namespace pillion::tls
