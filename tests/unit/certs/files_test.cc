#include "certs/files.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "proxy/base/str.h"
#include "tests/support/log_capture.h"
#include "tests/support/ocsp_response.h"
#include "tests/unit/certs/certs_fixture.h"
#include "xds/reflect.h"

namespace pillion::certs {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::run_until;

class CertificateFiles : public CertsTest {
 protected:
  CertificateFiles() {
    std::string name = (fs::temp_directory_path() / "pillion_certs_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~CertificateFiles() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& name) const { return folder_ / name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name + ".new"), std::ios::trunc) << text;
    fs::rename(path(name + ".new"), path(name));
  }
  tls::CertificateConfig write_pair(const std::string& identity) const {
    tls::CertificateConfig leaf = ca_.certificate(identity);
    write("crt", leaf.chain_pem);
    write("key", leaf.key_pem);
    return leaf;
  }
  [[nodiscard]] tls::SecretRef pair() const {
    return tls::make_files_ref({path("crt"), path("key"), {}, {}}, tls::SecretKind::kCertificate,
                               nullptr);
  }
  // A certificate "default" of a file that holds a DiscoveryResponse.
  [[nodiscard]] tls::SecretRef path_ref(const std::string& name) const {
    auto source = std::make_shared<tls::SecretSource>();
    source->key = "path/" + name;
    source->how = tls::SecretSource::Path{path(name)};
    tls::SecretRef ref;
    ref.source = source;
    ref.name = "default";
    return ref;
  }

  fs::path folder_;
};

TEST_F(CertificateFiles, AreFollowedThroughRenamesAndSwappedLinks) {
  const tls::CertificateConfig first = write_pair("spiffe://a/1");
  const tls::SecretRef ref = pair();
  want(ref);
  EXPECT_EQ(chain_of(ref), first.chain_pem);
  const tls::CertificateConfig second = write_pair("spiffe://a/2");
  EXPECT_TRUE(run_until(loop_, [&] { return chain_of(ref) == second.chain_pem; }));
  EXPECT_EQ(failure_of(ref), "");
}

TEST_F(CertificateFiles, AreFollowedWhereAMountedSecretSwapsItsData) {
  const tls::CertificateConfig leaves[] = {ca_.certificate("spiffe://a/0"),
                                           ca_.certificate("spiffe://a/1")};
  for (const int i : {0, 1}) {
    fs::create_directory(folder_ / str("data", i));
    std::ofstream(folder_ / str("data", i) / "crt") << leaves[i].chain_pem;
    std::ofstream(folder_ / str("data", i) / "key") << leaves[i].key_pem;
  }
  fs::create_directory_symlink("data0", folder_ / "..data");
  fs::create_symlink("..data/crt", folder_ / "crt");
  fs::create_symlink("..data/key", folder_ / "key");
  const tls::SecretRef ref = pair();
  want(ref);
  EXPECT_EQ(chain_of(ref), leaves[0].chain_pem);
  fs::create_directory_symlink("data1", folder_ / "..data_tmp");
  fs::rename(folder_ / "..data_tmp", folder_ / "..data");
  EXPECT_TRUE(run_until(loop_, [&] { return chain_of(ref) == leaves[1].chain_pem; }));
}

TEST_F(CertificateFiles, AreNotUsedWhileHalfOfThemIsNew) {
  const tls::CertificateConfig first = write_pair("spiffe://a/1");
  const tls::SecretRef ref = pair();
  want(ref);
  const tls::CertificateConfig second = ca_.certificate("spiffe://a/2");
  testing::LogCapture log;
  write("crt", second.chain_pem);
  EXPECT_TRUE(run_until(loop_, [&] { return failure_of(ref) != ""; }));
  EXPECT_THAT(failure_of(ref),
              HasSubstr("key: the private key does not belong to the certificate"));
  EXPECT_EQ(chain_of(ref), first.chain_pem);
  // Cut short: still the first, and another reason.
  write("key", second.key_pem.substr(0, 80));
  EXPECT_TRUE(
      run_until(loop_, [&] { return failure_of(ref).find("belong") == std::string::npos; }));
  EXPECT_THAT(failure_of(ref), HasSubstr(path("key")));
  EXPECT_EQ(chain_of(ref), first.chain_pem);
  write("key", second.key_pem);
  EXPECT_TRUE(run_until(loop_, [&] { return chain_of(ref) == second.chain_pem; }));
  EXPECT_EQ(failure_of(ref), "");
  EXPECT_EQ(log.count("the last good one stays"), 2u) << log.text();
}

TEST_F(CertificateFiles, LeaveTheLastGoodOneWhenTheyAreGone) {
  const tls::CertificateConfig first = write_pair("spiffe://a/1");
  const tls::SecretRef ref = pair();
  want(ref);
  fs::remove(path("key"));
  EXPECT_TRUE(run_until(loop_, [&] { return failure_of(ref) != ""; }));
  EXPECT_THAT(failure_of(ref), HasSubstr("is gone"));
  EXPECT_EQ(chain_of(ref), first.chain_pem);
  write("key", first.key_pem);
  EXPECT_TRUE(run_until(loop_, [&] { return failure_of(ref) == ""; }));
}

TEST_F(CertificateFiles, HaveAnOcspResponseThatIsFollowedToo) {
  const tls::CertificateConfig leaf = write_pair("spiffe://a/1");
  const auto staple_until = [&](int64_t end) {
    return tls::ocsp::encode({.pem = leaf.chain_pem, .next_update = end});
  };
  const int64_t now = testing::now_seconds();
  const std::string first = staple_until(now + 60);
  const std::string second = staple_until(now + 3600);
  write("ocsp", first);
  const tls::SecretRef ref = tls::make_files_ref({path("crt"), path("key"), {}, {}, path("ocsp")},
                                                 tls::SecretKind::kCertificate, nullptr);
  const auto slot = *tls::ContextSlot::make({}, {{ref}, {}, {}});
  store_.attach({slot});
  want(ref);
  const auto staple_of = [&] { return slot->current()->identities().front().staple.der; };
  EXPECT_TRUE(run_until(loop_, [&] { return slot->current() != nullptr; }));
  EXPECT_EQ(staple_of(), first);
  write("ocsp", second);
  EXPECT_TRUE(run_until(loop_, [&] { return staple_of() == second; }));
  EXPECT_EQ(failure_of(ref), "");
  // One that is about another certificate, as while half of the files are new.
  const tls::CertificateConfig next = ca_.certificate("spiffe://a/2");
  write("ocsp", tls::ocsp::encode({next.chain_pem}));
  EXPECT_TRUE(run_until(loop_, [&] { return failure_of(ref) != ""; }));
  EXPECT_EQ(failure_of(ref), path("ocsp") + ": the OCSP response is about another certificate");
  EXPECT_EQ(staple_of(), second);
  write("crt", next.chain_pem);
  write("key", next.key_pem);
  EXPECT_TRUE(run_until(loop_, [&] { return chain_of(ref) == next.chain_pem; }));
  EXPECT_EQ(failure_of(ref), "");
}

std::string json(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) c == '\n' ? out += "\\n" : out += c;
  return out + '"';
}

std::string inline_of(const std::string& pem) {
  return str("{ \"inline_string\": ", json(pem), " }");
}

// A DiscoveryResponse with one certificate; chain and key are DataSources.
std::string response(const std::string& chain, const std::string& key) {
  return str("{ \"version_info\": \"7\", \"resources\": [ { \"@type\": \"type.googleapis.com/",
             "envoy.extensions.transport_sockets.tls.v3.Secret\", \"name\": \"default\", ",
             "\"tls_certificate\": { \"certificate_chain\": ", chain, ", \"private_key\": ", key,
             " } } ] }");
}

TEST_F(CertificateFiles, MayBeADiscoveryResponse) {
  const tls::CertificateConfig first = ca_.certificate("spiffe://a/1");
  const tls::CertificateConfig second = write_pair("spiffe://a/2");
  write("sds.yaml", response(inline_of(first.chain_pem), inline_of(first.key_pem)));
  const tls::SecretRef ref = path_ref("sds.yaml");
  want(ref);
  EXPECT_EQ(chain_of(ref), first.chain_pem);
  EXPECT_EQ(store_.find(ref.key())->version, "7");
  // It names files, which are followed too.
  write("sds.yaml", response(str("{ \"filename\": ", json(path("crt")), " }"),
                             str("{ \"filename\": ", json(path("key")), " }")));
  EXPECT_TRUE(run_until(loop_, [&] { return chain_of(ref) == second.chain_pem; }));
  const tls::CertificateConfig third = write_pair("spiffe://a/3");
  EXPECT_TRUE(run_until(loop_, [&] { return chain_of(ref) == third.chain_pem; }));
  write("sds.yaml", "{ \"resources\": [] }");
  EXPECT_TRUE(run_until(loop_, [&] { return failure_of(ref) != ""; }));
  EXPECT_THAT(failure_of(ref), HasSubstr("has no secret \"default\""));
  EXPECT_EQ(chain_of(ref), third.chain_pem);
  write("sds.yaml", "{ \"resources\": [ { \"@type\": \"type.googleapis.com/no.Such\" } ] }");
  EXPECT_TRUE(
      run_until(loop_, [&] { return failure_of(ref).find("no.Such") != std::string::npos; }));
  EXPECT_THAT(failure_of(ref), HasSubstr("sds.yaml:1:"));
}

TEST_F(CertificateFiles, MayBeAnEncodedDiscoveryResponse) {
  const tls::CertificateConfig first = ca_.certificate("spiffe://a/1");
  const Result<std::string> bytes =
      xds::encode("envoy.service.discovery.v3.DiscoveryResponse",
                  str("{\"type_url\": \"type.googleapis.com/"
                      "envoy.extensions.transport_sockets.tls.v3.Secret\", ",
                      response(inline_of(first.chain_pem), inline_of(first.key_pem)).substr(1)));
  ASSERT_TRUE(bytes) << bytes.error();
  write("sds.pb", *bytes);
  const tls::SecretRef ref = path_ref("sds.pb");
  want(ref);
  EXPECT_EQ(failure_of(ref), "");
  EXPECT_EQ(chain_of(ref), first.chain_pem);
}

}  // namespace
}  // namespace pillion::certs
