#include "certs/sds.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "proxy/base/str.h"
#include "proxy/http/grpc_frames.h"
#include "tests/support/log_capture.h"
#include "tests/unit/certs/certs_fixture.h"
#include "xds/reflect.h"
#include "xds/value_json.h"

namespace pillion::certs {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using namespace std::chrono_literals;

constexpr std::string_view kType =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

std::string json(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) c == '\n' ? out += "\\n" : out += c;
  return out + '"';
}

class Sds : public CertsTest {
 protected:
  static tls::SecretRef ref(const std::string& name,
                            tls::SecretKind kind = tls::SecretKind::kCertificate) {
    static const auto source = [] {
      auto out = std::make_shared<tls::SecretSource>();
      out->key = "sds/agent";
      tls::SecretSource::Grpc grpc;
      grpc.service.cluster.value = "agent";
      out->how = std::move(grpc);
      return out;
    }();
    tls::SecretRef out;
    out.source = source;
    out.kind = kind;
    out.name = name;
    return out;
  }
  static std::string secret(const std::string& name, const tls::CertificateConfig& leaf) {
    return str(
        "{\"@type\":\"", kType, "\",\"name\":", json(name),
        ",\"tls_certificate\":{\"certificate_chain\":{\"inline_string\":", json(leaf.chain_pem),
        "},\"private_key\":{\"inline_string\":", json(leaf.key_pem), "}}}");
  }
  void respond(const std::string& version, const std::string& nonce, const std::string& resources) {
    const Result<std::string> bytes =
        xds::encode("envoy.service.discovery.v3.DiscoveryResponse",
                    str("{\"version_info\":", json(version), ",\"nonce\":", json(nonce),
                        ",\"type_url\":\"", kType, "\",\"resources\":[", resources, "]}"));
    ASSERT_TRUE(bytes) << bytes.error();
    clusters_.last().data(http::grpc_frame(*bytes));
  }
  // Of the newest call, since the last time.
  std::vector<std::string> requests() {
    std::vector<std::string> out;
    http::GrpcFrames frames(1 << 20);
    const std::string sent = std::exchange(clusters_.last().sent, {});
    EXPECT_EQ(frames.feed(sent,
                          [&](std::string_view message) {
                            config::Errors errors;
                            const auto document =
                                xds::reflect("envoy.service.discovery.v3.DiscoveryRequest", message,
                                             "request", errors);
                            xds::append_json(out.emplace_back(), document->root_value());
                            return true;
                          }),
              nullptr);
    return out;
  }
  uint64_t counter(const std::string& secret, stats::Counter stats::SdsStats::* row) {
    const auto block = registry_.block<stats::SdsStats>(stats::kControl, secret);
    return ((*block).*row).value();
  }
};

TEST_F(Sds, OpensOneStreamForEachSecretAndSaysWhoItIs) {
  want(ref("default"));
  EXPECT_EQ(clusters_.last().cluster, "agent");
  EXPECT_EQ(clusters_.last().path, "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets");
  EXPECT_THAT(requests(),
              ElementsAre(AllOf(HasSubstr(R"("id":"me")"),
                                HasSubstr(R"("resource_names":["default"])"), HasSubstr(kType))));
  want(ref("ROOTCA", tls::SecretKind::kValidation));
  EXPECT_EQ(clusters_.calls.size(), 2u);
  EXPECT_THAT(requests(), ElementsAre(HasSubstr(R"("resource_names":["ROOTCA"])")));
}

TEST_F(Sds, TakesASecretAndAcknowledgesIt) {
  want(ref("default"));
  requests();
  const tls::CertificateConfig leaf = ca_.certificate("spiffe://a/1");
  respond("v1", "n1", secret("default", leaf));
  EXPECT_EQ(chain_of(ref("default")), leaf.chain_pem);
  EXPECT_THAT(requests(), ElementsAre(AllOf(HasSubstr(R"("version_info":"v1")"),
                                            HasSubstr(R"("response_nonce":"n1")"),
                                            Not(HasSubstr("error_detail")))));
  const tls::CertificateConfig next = ca_.certificate("spiffe://a/2");
  respond("v2", "n2", secret("default", next));
  EXPECT_EQ(chain_of(ref("default")), next.chain_pem);
  EXPECT_EQ(counter("default", &stats::SdsStats::update_success), 2u);
  EXPECT_EQ(counter("default", &stats::SdsStats::update_attempt), 3u);
}

TEST_F(Sds, RefusesWhatIsNoSecretOfTheNameAndKindAndKeepsTheOldOne) {
  want(ref("default"));
  const tls::CertificateConfig leaf = ca_.certificate("spiffe://a/1");
  respond("v1", "n1", secret("default", leaf));
  requests();
  tls::CertificateConfig mixed = leaf;
  mixed.key_pem = ca_.certificate("spiffe://a/2").key_pem;
  struct Case {
    std::string resources;
    const char* reason;
  };
  const Case cases[] = {
      {secret("default", mixed),
       "sds/default: tls_certificate.private_key: <inline>: the private key does not "
       "belong to the certificate"},
      {"", "sds: the response has no secret \\\"default\\\""},
      {secret("other", leaf), "sds: the response has no secret \\\"default\\\""},
      {str("{\"@type\":\"", kType, "\",\"name\":\"default\"}"), "expected one of tls_certificate"},
      {str("{\"@type\":\"", kType,
           "\",\"name\":\"default\",\"validation_context\":{\"trusted_ca\":{\"inline_string\":",
           json(ca_.pem()), "}}}"),
       "sds/default: expected a tls_certificate, got a validation_context"},
      {str("{\"@type\":\"", kType,
           "\",\"name\":\"default\",\"tls_certificate\":{\"password\":{\"inline_string\":\"x\"}}}"),
       "tls_certificate.certificate_chain: required field is missing"},
  };
  int number = 2;
  for (const Case& c : cases) {
    respond(str("v", number), str("n", number), c.resources);
    EXPECT_THAT(requests(), ElementsAre(AllOf(HasSubstr(R"("version_info":"v1")"),
                                              HasSubstr(str("\"response_nonce\":\"n", number, '"')),
                                              HasSubstr("error_detail"), HasSubstr(c.reason),
                                              Not(HasSubstr("PRIVATE")))));
    EXPECT_EQ(chain_of(ref("default")), leaf.chain_pem);
    ++number;
  }
  EXPECT_EQ(counter("default", &stats::SdsStats::update_rejected), std::size(cases));
}

TEST_F(Sds, RefusesACertificateThatMissesTheOcspResponseThatItsServerNeeds) {
  tls::ContextConfig config;
  config.ocsp_policy = tls::OcspPolicy::kMust;
  const auto slot = *tls::ContextSlot::make(config, {{ref("default")}, {}, {}});
  store_.attach({slot});
  requests();
  tls::CertificateConfig leaf = ca_.certificate("spiffe://a/1");
  respond("v1", "n1", secret("default", leaf));
  EXPECT_THAT(requests(),
              ElementsAre(AllOf(HasSubstr("error_detail"),
                                HasSubstr("sds/default: <inline> has no ocsp_staple, and "
                                          "ocsp_staple_policy is MUST_STAPLE"))));
  EXPECT_EQ(slot->current(), nullptr);
}

TEST_F(Sds, KeepsTheLastGoodSecretWhileTheServerIsAwayAndAsksAgain) {
  want(ref("default"));
  const tls::CertificateConfig leaf = ca_.certificate("spiffe://a/1");
  respond("v1", "n1", secret("default", leaf));
  testing::LogCapture log;
  for (size_t calls = 2; calls < 6; ++calls) {
    clusters_.last().fail("Connection refused");
    EXPECT_TRUE(testing::run_until(loop_, [&] {
      if (clusters_.calls.size() < calls) loop_.skip(1s);
      return clusters_.calls.size() == calls;
    }));
  }
  EXPECT_EQ(log.count("no stream to"), 1u) << "told once\n" << log.text();
  EXPECT_EQ(chain_of(ref("default")), leaf.chain_pem);
  EXPECT_THAT(requests(), ElementsAre(AllOf(HasSubstr(R"("version_info":"v1")"),
                                            HasSubstr(R"("resource_names":["default"])"))));
  const tls::CertificateConfig next = ca_.certificate("spiffe://a/2");
  respond("v2", "n2", secret("default", next));
  EXPECT_EQ(chain_of(ref("default")), next.chain_pem);
}

TEST_F(Sds, EndsTheStreamOfASecretThatNobodyWants) {
  want(ref("default"));
  EXPECT_TRUE(clusters_.last().is_open);
  store_.unwant(ref("default").key());
  wanted_.clear();
  EXPECT_FALSE(clusters_.last().is_open);
}

// Its files are followed also while it is refused: the other half of the pair may be on its way.
TEST_F(Sds, TriesAPairAgainOfWhichOneFileWasNotWrittenYet) {
  char folder[] = "/tmp/pillion_sds_XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const auto file = [&](const char* name) { return str(folder, "/", name); };
  const auto write = [&](const char* name, const std::string& text) {
    std::ofstream(file(name)) << text;
  };
  const tls::CertificateConfig first = ca_.certificate("spiffe://a/1");
  const tls::CertificateConfig second = ca_.certificate("spiffe://a/2");
  const tls::CertificateConfig third = ca_.certificate("spiffe://a/3");
  const auto by_files = [&](const char* chain, const char* key) {
    return str("{\"@type\":\"", kType, "\",\"name\":\"default\",\"tls_certificate\":{",
               "\"certificate_chain\":{\"filename\":", json(file(chain)),
               "},\"private_key\":{\"filename\":", json(file(key)), "}}}");
  };
  const auto in_force = [&] { return chain_of(ref("default")); };
  want(ref("default"));
  write("crt", first.chain_pem);
  respond("v1", "n1", by_files("crt", "key"));
  EXPECT_EQ(in_force(), "");
  write("key", first.key_pem);
  EXPECT_TRUE(testing::run_until(loop_, [&] { return in_force() == first.chain_pem; }));
  EXPECT_EQ(failure_of(ref("default")), "");
  EXPECT_EQ(store_.find(ref("default").key())->version, "v1");
  // The next one is refused; those in force are followed, and so are those of the next.
  write("crt2", second.chain_pem);
  write("key2", first.key_pem);
  respond("v2", "n2", by_files("crt2", "key2"));
  EXPECT_EQ(in_force(), first.chain_pem);
  write("crt", third.chain_pem);
  write("key", third.key_pem);
  EXPECT_TRUE(testing::run_until(loop_, [&] { return in_force() == third.chain_pem; }));
  EXPECT_THAT(failure_of(ref("default")), HasSubstr("does not belong"));
  write("key2", second.key_pem);
  EXPECT_TRUE(testing::run_until(loop_, [&] { return in_force() == second.chain_pem; }));
  EXPECT_EQ(store_.find(ref("default").key())->version, "v2");
  std::filesystem::remove_all(folder);
}

class SdsByAds : public Sds {
 protected:
  static tls::SecretRef ref(const std::string& name) {
    static const auto source = [] {
      auto out = std::make_shared<tls::SecretSource>();
      out->key = "ads";
      out->how = tls::SecretSource::Ads{};
      return out;
    }();
    tls::SecretRef out = Sds::ref(name);
    out.source = source;
    return out;
  }
  static xds::Response response(const std::string& resources) {
    const Result<std::string> bytes =
        xds::encode("envoy.service.discovery.v3.DiscoveryResponse",
                    str("{\"version_info\":\"1\",\"type_url\":\"", kType, "\",\"resources\":[",
                        resources, "]}"));
    EXPECT_TRUE(bytes);
    return *xds::decode_response(*bytes);
  }
  ~SdsByAds() override { providers_.ads().stop(); }

  struct Recorder final : AdsSecrets::Subscriber {
    void change_secrets(const AdsSecrets::Names& come,
                        const std::set<std::string, std::less<>>& gone) override {
      std::string line;
      for (const auto& [name, timeout] : come) line += str(line.empty() ? "" : " ", "+", name);
      for (const auto& name : gone) line += str(line.empty() ? "" : " ", "-", name);
      told.push_back(line);
    }
    std::vector<std::string> told;
  } stream_;
};

TEST_F(SdsByAds, IsTakenFromTheOneStream) {
  want(ref("default"));
  providers_.ads().set_subscriber(stream_);
  EXPECT_THAT(stream_.told, ElementsAre("+default"));
  const tls::CertificateConfig leaf = ca_.certificate("spiffe://a/1");
  const AdsSecrets::Taken taken =
      providers_.ads().take(response(str(secret("default", leaf), ",", secret("unasked", leaf))));
  EXPECT_EQ(taken.wrong, "");
  EXPECT_THAT(taken.refused, IsEmpty());
  EXPECT_EQ(chain_of(ref("default")), leaf.chain_pem);
}

TEST_F(SdsByAds, IsAskedForOnceForAllThatChangesInATurn) {
  providers_.ads().set_subscriber(stream_);
  for (const char* name : {"a", "b", "c"}) want(ref(name));
  loop_.run_once(false);
  EXPECT_THAT(stream_.told, ElementsAre("+a +b +c"));
  want(ref("d"));
  store_.unwant(ref("b").key());
  loop_.run_once(false);
  EXPECT_THAT(stream_.told, ElementsAre("+a +b +c", "+d -b"));
  // The server would not say again what it thinks that we have.
  store_.unwant(ref("a").key());
  store_.want(ref("a"));
  loop_.run_once(false);
  EXPECT_THAT(stream_.told, ElementsAre("+a +b +c", "+d -b", "-a", "+a"));
  wanted_.clear();
  for (const char* name : {"a", "c", "d"}) wanted_.push_back(ref(name).key());
}

TEST_F(SdsByAds, IsRefusedByNameAndTheOthersAreTaken) {
  for (const char* name : {"good", "bad"}) want(ref(name));
  providers_.ads().set_subscriber(stream_);
  tls::CertificateConfig leaf = ca_.certificate("spiffe://a/1");
  const std::string good = secret("good", leaf);
  leaf.key_pem = "no key";
  const AdsSecrets::Taken taken =
      providers_.ads().take(response(str(good, ",", secret("bad", leaf))));
  EXPECT_THAT(taken.wrong, HasSubstr("sds/bad: "));
  EXPECT_THAT(taken.refused, ElementsAre("bad"));
  EXPECT_NE(chain_of(ref("good")), "");
}

}  // namespace
}  // namespace pillion::certs
