#include "proxy/cli/ca.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "proxy/cli/ca_files.h"
#include "proxy/cli/capture_process.h"
#include "proxy/tls/pem.h"
#include "proxy/tls/x509_info.h"
#include "tests/support/tls_peer.h"

namespace pillion::cli {
namespace {

using ::testing::HasSubstr;

constexpr const char* kUsers = "spiffe://mesh.local/ns/shop/sa/users";

class CaTest : public ::testing::Test {
 protected:
  CaTest() {
    char name[] = "/tmp/pillion_ca_XXXXXX";
    root_ = mkdtemp(name);
    dir_ = root_ + "/deep/ca";
  }
  ~CaTest() override { std::filesystem::remove_all(root_); }

  int init(const std::string& trust_domain = "mesh.local", uint32_t days = 3650) {
    return captured([&] { return run_ca_init({dir_, trust_domain, days}); });
  }
  int issue(CaIssueOptions options) {
    options.dir = dir_;
    if (options.spiffe.empty()) options.spiffe = kUsers;
    if (options.out_cert.empty()) options.out_cert = root_ + "/workload.crt";
    if (options.out_key.empty()) options.out_key = root_ + "/workload.key";
    return captured([&] { return run_ca_issue(options); });
  }
  template <typename F>
  int captured(F&& run) {
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int status = run();
    out_ = ::testing::internal::GetCapturedStdout();
    err_ = ::testing::internal::GetCapturedStderr();
    // One line on exactly one of the two, always.
    const std::string& said = status == 0 ? out_ : err_;
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << out_ << err_;
    EXPECT_EQ((status == 0 ? err_ : out_), "");
    return status;
  }
  static std::string text_of(const std::string& file) { return read_file(file).value_or(""); }
  static mode_t mode_of(const std::string& file) {
    struct stat info{};
    EXPECT_EQ(::stat(file.c_str(), &info), 0) << file;
    return info.st_mode & 07777;
  }
  void write(const std::string& file, const std::string& text) { std::ofstream(file) << text; }
  // What openssl says of a file, or nothing where it is not installed.
  static std::string openssl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), find_program("openssl"));
    auto outcome = run_program(arguments, "");
    return outcome ? outcome->output : outcome.error();
  }

  std::string root_;
  std::string dir_;
  std::string out_;
  std::string err_;
};

TEST_F(CaTest, InitMakesAnAuthorityThatNamesItsTrustDomain) {
  ASSERT_EQ(init(), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("trust domain mesh.local"));
  EXPECT_EQ(mode_of(dir_ + "/ca.key"), 0600u);
  const auto info = tls::describe_pem(text_of(dir_ + "/ca.crt")).value();
  ASSERT_EQ(info.size(), 1u);
  EXPECT_TRUE(info[0].is_ca);
  EXPECT_EQ(info[0].subject, "CN=mesh.local CA");
  EXPECT_EQ(info[0].issuer, info[0].subject);
  ASSERT_EQ(info[0].sans.size(), 1u);
  EXPECT_EQ(info[0].first(tls::SanType::kUri), "spiffe://mesh.local");
  EXPECT_NEAR(double(info[0].not_after - info[0].not_before), 3650 * 86400.0, 600.0);
  EXPECT_TRUE(tls::check_key_matches(text_of(dir_ + "/ca.crt"), text_of(dir_ + "/ca.key")));
}

TEST_F(CaTest, InitLeavesACompleteAuthorityAlone) {
  ASSERT_EQ(init(), 0);
  const std::string key = text_of(dir_ + "/ca.key");
  EXPECT_EQ(init(), 0);
  EXPECT_THAT(out_, HasSubstr("complete already"));
  EXPECT_EQ(text_of(dir_ + "/ca.key"), key);
}

TEST_F(CaTest, InitNeverOverwritesWhatIsNotACompleteAuthority) {
  std::filesystem::create_directories(dir_);
  write(dir_ + "/ca.key", "precious");
  EXPECT_EQ(init(), 1);
  EXPECT_THAT(err_, HasSubstr("not overwritten"));
  EXPECT_EQ(text_of(dir_ + "/ca.key"), "precious");
  std::filesystem::remove(dir_ + "/ca.key");
  write(dir_ + "/ca.crt", "trusted by many");
  EXPECT_EQ(init(), 1);
  EXPECT_EQ(text_of(dir_ + "/ca.crt"), "trusted by many");
  EXPECT_FALSE(file_exists(dir_ + "/ca.key"));
}

TEST_F(CaTest, InitRefusesAnotherTrustDomainInTheSameFolder) {
  ASSERT_EQ(init("mesh.local"), 0);
  EXPECT_EQ(init("other.local"), 1);
  EXPECT_THAT(err_, HasSubstr("is for the trust domain mesh.local: choose another --dir"));
}

TEST_F(CaTest, InitRefusesWhatIsNoTrustDomain) {
  for (const char* bad : {"", "Mesh.Local", "a/b", "spiffe://a", "a b", "a:1", "a@b"}) {
    EXPECT_EQ(init(bad), 1) << bad;
    EXPECT_THAT(err_, HasSubstr("--trust-domain"));
  }
  EXPECT_EQ(init(std::string(256, 'a')), 1);
  EXPECT_FALSE(file_exists(dir_));
}

TEST_F(CaTest, DaysHaveBounds) {
  EXPECT_EQ(init("mesh.local", 0), 1);
  EXPECT_EQ(init("mesh.local", 40'000), 1);
  EXPECT_THAT(err_, HasSubstr("--days: expected 1 to 36500, got 40000"));
}

TEST_F(CaTest, ALongTrustDomainFits) {
  EXPECT_EQ(init(std::string(255, 'a')), 0) << err_;
  EXPECT_EQ(issue({.spiffe = "spiffe://" + std::string(255, 'a') + "/x"}), 0) << err_;
}

TEST_F(CaTest, IssueMakesACertificateForAWorkload) {
  ASSERT_EQ(init(), 0);
  ASSERT_EQ(issue({.dns = {"users", "*.users.shop"}, .ips = {"10.0.0.1", "0:0::1"}, .days = 7}), 0)
      << err_;
  EXPECT_EQ(mode_of(root_ + "/workload.key"), 0600u);
  const auto info = tls::describe_pem(text_of(root_ + "/workload.crt")).value();
  ASSERT_EQ(info.size(), 1u);
  EXPECT_FALSE(info[0].is_ca);
  EXPECT_EQ(info[0].issuer, "CN=mesh.local CA");
  ASSERT_EQ(info[0].sans.size(), 5u);
  const char* expected[] = {kUsers, "users", "*.users.shop", "10.0.0.1", "::1"};
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(info[0].sans[i].text, expected[i]);
  EXPECT_TRUE(
      tls::check_key_matches(text_of(root_ + "/workload.crt"), text_of(root_ + "/workload.key")));
}

TEST_F(CaTest, IssueReplacesOldFilesAndTheirModes) {
  ASSERT_EQ(init(), 0);
  write(root_ + "/workload.key", "old");
  std::filesystem::permissions(root_ + "/workload.key", std::filesystem::perms(0444));
  ASSERT_EQ(issue({}), 0);
  EXPECT_EQ(mode_of(root_ + "/workload.key"), 0600u);
  EXPECT_NE(text_of(root_ + "/workload.key"), "old");
}

TEST_F(CaTest, ALeafNeverOutlivesItsAuthority) {
  ASSERT_EQ(init("mesh.local", 2), 0);
  ASSERT_EQ(issue({.days = 90}), 0);
  EXPECT_EQ(tls::describe_pem(text_of(root_ + "/workload.crt")).value()[0].not_after,
            tls::describe_pem(text_of(dir_ + "/ca.crt")).value()[0].not_after);
}

TEST_F(CaTest, IssueWithoutAnAuthoritySaysWhatToDo) {
  EXPECT_EQ(issue({}), 1);
  EXPECT_THAT(err_, HasSubstr("run `pillion ca init --dir"));
}

TEST_F(CaTest, IssueRefusesBadNames) {
  ASSERT_EQ(init(), 0);
  struct Case {
    CaIssueOptions options;
    const char* message;
  };
  const Case cases[] = {
      {{.spiffe = "spiffe://other.local/a"}, "its trust domain is other.local, the CA in"},
      {{.spiffe = "https://mesh.local/a"}, "expected spiffe://"},
      {{.spiffe = "spiffe://mesh.local"}, "no path"},
      {{.spiffe = "spiffe://mesh.local/"}, "segment that is empty"},
      {{.spiffe = "spiffe://mesh.local/a//b"}, "segment that is empty"},
      {{.spiffe = "spiffe://mesh.local/a/"}, "segment that is empty"},
      {{.spiffe = "spiffe://mesh.local/a/../b"}, "segment that is empty"},
      {{.spiffe = "spiffe://mesh.local/a?b"}, "letters, digits"},
      {{.spiffe = "spiffe://Mesh.local/a"}, "trust domain"},
      {{.spiffe = "spiffe://mesh.local:1/a"}, "trust domain"},
      {{.spiffe = "spiffe://mesh.local/" + std::string(2040, 'a')}, "2048"},
      {{.dns = {"a..b"}}, "--dns a..b: expected a host name"},
      {{.dns = {"a.*.b"}}, "expected a host name"},
      {{.dns = {"*."}}, "expected a host name"},
      {{.ips = {"10.0.0"}}, "--ip 10.0.0: expected an IP address"},
      {{.days = 0}, "--days"},
      {{.out_cert = "same", .out_key = "same"}, "the same file"},
      {{.out_cert = "/nonexistent/x.crt", .out_key = "/nonexistent/x.key"}, "No such file"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(issue(c.options), 1) << c.message;
    EXPECT_THAT(err_, HasSubstr(c.message));
    EXPECT_FALSE(file_exists(root_ + "/workload.key"));
  }
}

TEST_F(CaTest, IssueNeverWritesOverTheAuthority) {
  ASSERT_EQ(init(), 0);
  const std::string key = text_of(dir_ + "/ca.key");
  EXPECT_EQ(issue({.out_key = dir_ + "/ca.key"}), 1);
  EXPECT_EQ(issue({.out_cert = dir_ + "/ca.crt"}), 1);
  EXPECT_THAT(err_, HasSubstr("belongs to the CA"));
  EXPECT_EQ(text_of(dir_ + "/ca.key"), key);
}

TEST_F(CaTest, IssueRefusesADamagedAuthority) {
  ASSERT_EQ(init(), 0);
  ASSERT_EQ(issue({}), 0);
  std::filesystem::copy_file(root_ + "/workload.key", dir_ + "/ca.key",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(issue({}), 1);
  EXPECT_THAT(err_, HasSubstr("does not belong"));
  std::filesystem::copy_file(root_ + "/workload.crt", dir_ + "/ca.crt",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(issue({}), 1);
  EXPECT_THAT(err_, HasSubstr("is not the certificate of a CA"));
}

TEST_F(CaTest, OpensslVerifiesTheChain) {
  if (find_program("openssl").empty()) GTEST_SKIP() << "openssl is not installed";
  ASSERT_EQ(init(), 0);
  ASSERT_EQ(issue({.dns = {"users"}, .ips = {"::1"}}), 0);
  const std::string leaf = root_ + "/workload.crt";
  for (const char* purpose : {"sslserver", "sslclient"}) {
    EXPECT_EQ(
        openssl({"verify", "-x509_strict", "-purpose", purpose, "-CAfile", dir_ + "/ca.crt", leaf}),
        leaf + ": OK\n");
  }
  EXPECT_EQ(openssl({"verify", "-x509_strict", "-CAfile", dir_ + "/ca.crt", dir_ + "/ca.crt"}),
            dir_ + "/ca.crt: OK\n");
  const std::string text = openssl({"x509", "-noout", "-text", "-in", leaf});
  EXPECT_THAT(
      text,
      HasSubstr("URI:spiffe://mesh.local/ns/shop/sa/users, DNS:users, IP Address:0:0:0:0:0:0:0:1"));
  EXPECT_THAT(text, HasSubstr("ASN1 OID: prime256v1"));
  EXPECT_THAT(text, HasSubstr("CA:FALSE"));
}

// The whole way: both ends of a connection use the files.
TEST_F(CaTest, TwoWorkloadsTrustEachOther) {
  ASSERT_EQ(init(), 0);
  const auto config = [&](tls::Role role, const std::string& name) {
    EXPECT_EQ(issue({.spiffe = "spiffe://mesh.local/" + name}), 0);
    tls::ContextConfig c;
    c.role = role;
    c.certificates = {{text_of(root_ + "/workload.crt"), text_of(root_ + "/workload.key"), name}};
    c.validation.emplace();
    c.validation->trusted_ca_pem = text_of(dir_ + "/ca.crt");
    c.require_client_certificate = role == tls::Role::kServer;
    return tls::Context::make(c).value();
  };
  io::Loop loop;
  testing::TlsPair pair(loop, config(tls::Role::kClient, "customer"),
                        config(tls::Role::kServer, "users"),
                        {.expected_name = "spiffe://mesh.local/users"});
  ASSERT_TRUE(pair.shake_hands(loop));
  ASSERT_EQ(pair.server.connected, 1) << pair.server.reason << pair.client.reason;
  EXPECT_EQ(pair.server.transport->identity()->uri_san, "spiffe://mesh.local/customer");
  EXPECT_EQ(pair.client.transport->identity()->uri_san, "spiffe://mesh.local/users");
  EXPECT_TRUE(pair.server.transport->identity()->verified);
}

}  // namespace
}  // namespace pillion::cli
