// Whole files: what the parsers of listeners refuse, with the messages, and what they must take.
#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>
#include <fstream>

#include "proxy/config/expand.h"
#include "proxy/tls/context_slot.h"
#include "proxy/tls/issue.h"
#include "tests/unit/config/cases.h"
#include "tests/unit/core/parse_fixture.h"

namespace pillion::core {
namespace {

namespace fs = std::filesystem;

// A folder of our own as the working directory, with the certificates that the files name.
class ParsedFiles : public testing::Test {
 protected:
  ParsedFiles()
      : before_(fs::current_path()),
        folder_(fs::temp_directory_path() / str("pillion-parse-", ::getpid())) {
    fs::create_directories(folder_ / "certs");
    fs::current_path(folder_);
    request_.not_before = std::time(nullptr) - 3600;
    request_.not_after = std::time(nullptr) + 3600;
    tls::CertificateRequest authority = request_;
    authority.is_ca = true;
    authority.common_name = "ca";
    ca_ = *tls::issue(authority, nullptr);
    std::ofstream("certs/ca.crt") << ca_.certificate_pem;
    issue("users");
    issue("workload");
  }
  ~ParsedFiles() override {
    fs::current_path(before_);
    fs::remove_all(folder_);
  }

  static void parse_listeners(const std::string& path, config::Errors& errors) {
    const config::DocumentPtr document = config::load_bootstrap(path, {}, errors);
    if (document == nullptr) return;
    FakeServices services;
    std::vector<config::Located<std::string>> clusters;
    for (const config::Node listener :
         document->root(errors)["static_resources"]["listeners"].items()) {
      (void)parse_listener(listener, {services, clusters});
    }
  }
  void issue(const std::string& name) {
    tls::CertificateRequest request = request_;
    request.common_name = name;
    const tls::Issued leaf = *tls::issue(request, &ca_);
    std::ofstream("certs/" + name + ".crt") << leaf.certificate_pem;
    std::ofstream("certs/" + name + ".key") << leaf.key_pem;
  }
  // Errors and warnings of a file that should have none.
  static std::string problems_of(const fs::path& path) {
    config::Errors errors;
    parse_listeners(path, errors);
    return errors.to_string() + errors.to_string(config::Severity::kWarning);
  }

 private:
  const fs::path before_, folder_;
  tls::CertificateRequest request_;
  tls::Issued ca_;
};

TEST_F(ParsedFiles, GiveTheExpectedMessagesWhenBad) {
  size_t checked = 0;
  for (const config::Case& c : config::read_cases(config::case_folder() / "bad/envoy")) {
    const std::string name = c.path.filename().string();
    if (!name.starts_with("listener_") && !name.starts_with("hcm_") && !name.starts_with("tcp_"))
      continue;
    ++checked;
    EXPECT_NE(c.expected, "") << c.path;
    EXPECT_EQ(config::messages_of(c, parse_listeners), c.expected) << c.path;
  }
  EXPECT_NE(checked, 0u);
}

TEST_F(ParsedFiles, GiveNoMessageWhenGood) {
  for (const config::Case& c : config::read_cases(config::case_folder() / "good")) {
    EXPECT_EQ(problems_of(c.path), "") << c.path;
  }
}

TEST_F(ParsedFiles, OfTheDemoGiveNoMessage) {
  size_t checked = 0;
  for (const auto& entry :
       fs::directory_iterator(fs::path(PILLION_SOURCE_DIR) / "deploy/examples/retail")) {
    if (entry.path().extension() != ".yaml") continue;
    ++checked;
    EXPECT_EQ(problems_of(entry.path()), "") << entry.path();
  }
  EXPECT_NE(checked, 0u);
}

// --- TLS ---------------------------------------------------------------------------------------

std::string with_tls(std::string_view alpn, std::string_view filters = {}) {
  return listener(
      "",
      chain(str("transport_socket: { name: tls, typed_config: { '@type': type.googleapis.com/envoy."
                "extensions.transport_sockets.tls.v3.DownstreamTlsContext, common_tls_context: { "
                "alpn_protocols: ",
                alpn,
                ", tls_certificates: [ { certificate_chain: { filename: certs/users.crt }, "
                "private_key: "
                "{ filename: certs/users.key } } ] } } }"),
            filters));
}

TEST_F(ParsedFiles, MakeTheTlsContextOfAChain) {
  const ParsedListener config(with_tls("[ http/1.1 ]"));
  EXPECT_EQ(config.messages, "");
  ASSERT_NE(config->chains[0]->tls, nullptr);
  EXPECT_EQ(config->chains[0]->tls->current()->alpn_wire(), "\x08http/1.1");
}

TEST_F(ParsedFiles, RefuseAKeyOfAnotherCertificate) {
  fs::copy_file("certs/workload.key", "certs/users.key", fs::copy_options::overwrite_existing);
  const ParsedListener config(with_tls("[]"));
  EXPECT_NE(config.messages.find("private key does not belong to the certificate"),
            std::string::npos)
      << config.messages;
  EXPECT_EQ(config->chains[0]->tls, nullptr);
}

// A client that is offered h2 speaks it, and the listener would not understand.
TEST_F(ParsedFiles, DoNotOfferHttp2InFrontOfHttp1) {
  const ParsedListener http(
      with_tls("[ h2, http/1.1 ]", filter(kManagerType, manager("codec_type: HTTP1"))));
  EXPECT_TRUE(http.errors.ok());
  EXPECT_NE(http.messages.find("alpn_protocols: warning: h2 is not offered to clients"),
            std::string::npos)
      << http.messages;
  EXPECT_EQ(http->chains[0]->tls->current()->alpn_wire(), "\x08http/1.1");
  const ParsedListener both(with_tls("[ h2, http/1.1 ]"));
  EXPECT_EQ(both.messages, "");
  EXPECT_EQ(both->chains[0]->tls->current()->alpn_wire(), "\x02h2\x08http/1.1");
  // Whoever is behind a TCP proxy may speak what it likes.
  const ParsedListener tcp(with_tls("[ h2 ]", filter(kTcpProxyType, tcp_proxy())));
  EXPECT_EQ(tcp.messages, "");
  EXPECT_EQ(tcp->chains[0]->tls->current()->alpn_wire(), "\x02h2");
}

// The slot follows the files: a chain with another certificate is still the same chain, and its
// connections stay.
TEST_F(ParsedFiles, HashAsTheSameWhenACertificateHasChanged) {
  const ParsedListener before(with_tls("[]"));
  const ParsedListener same(with_tls("[]"));
  issue("users");
  const ParsedListener after(with_tls("[]"));
  EXPECT_EQ(before->hash, same->hash);
  EXPECT_EQ(before->chains[0]->connection_hash, same->chains[0]->connection_hash);
  EXPECT_EQ(before->hash, after->hash);
  EXPECT_EQ(before->chains[0]->connection_hash, after->chains[0]->connection_hash);
  const ParsedListener other(with_tls("[ h2 ]"));
  EXPECT_NE(before->chains[0]->connection_hash, other->chains[0]->connection_hash);
}

}  // namespace
}  // namespace pillion::core
