#include "proxy/core/client_cert_header.h"

#include <gtest/gtest.h>

#include <string>

#include "proxy/base/str.h"
#include "proxy/core/xfcc.h"

namespace pillion::core {
namespace {

using Mode = ForwardClientCert;

class ClientCertHeader : public ::testing::Test {
 protected:
  ClientCertHeader() {
    certificate_.uri_sans = {"spiffe://mesh.local/ns/shop/sa/customer"};
    certificate_.dns_sans = {"customer.shop"};
    certificate_.subject = "CN=customer";
    certificate_.sha256 = "ab12";
    own_.uri_sans = {"spiffe://mesh.local/ns/shop/sa/users"};
    own_.sha256 = "never seen";
    identity_.presented = identity_.verified = true;
    identity_.certificate = &certificate_;
    identity_.local = &own_;
    connection_.identity = &identity_;
  }
  // The fields that go on, joined by " | ".
  std::string run(Mode mode, std::initializer_list<std::string_view> fields = {}) {
    Arena arena;
    http::Headers headers(arena);
    for (const std::string_view field : fields) {
      headers.add(http::HeaderId::kXForwardedClientCert, field);
    }
    identity_.uri_san = certificate_.uri_sans.empty() ? "" : certificate_.uri_sans.front();
    identity_.subject = certificate_.subject;
    identity_.sha256 = certificate_.sha256;
    HcmConfig config;
    config.forward_client_cert = mode;
    config.client_cert_details = details_;
    set_client_cert_header(headers, config, connection_);
    std::string out;
    headers.for_each(
        [&out](const http::Field& f) { out += str(out.empty() ? "" : " | ", f.value); });
    return out;
  }

  io::PeerCertificate certificate_, own_;
  io::PeerIdentity identity_;
  ConnectionInfo connection_;
  ClientCertDetails details_;
};

constexpr std::string_view kOurs = "By=spiffe://mesh.local/ns/shop/sa/users;Hash=ab12";

TEST_F(ClientCertHeader, HasFiveModes) {
  EXPECT_EQ(run(Mode::kSanitize, {"Hash=1"}), "");
  EXPECT_EQ(run(Mode::kForwardOnly, {"Hash=1", "Hash=2"}), "Hash=1 | Hash=2");
  EXPECT_EQ(run(Mode::kAppendForward, {"Hash=1", "Hash=2"}), str("Hash=1,Hash=2,", kOurs));
  EXPECT_EQ(run(Mode::kAppendForward), kOurs);
  EXPECT_EQ(run(Mode::kSanitizeSet, {"Hash=1", "Hash=2"}), kOurs);
  EXPECT_EQ(run(Mode::kAlwaysForwardOnly, {"Hash=1", "Hash=2"}), "Hash=1 | Hash=2");
}

TEST_F(ClientCertHeader, BelievesNobodyWhoProvedNothing) {
  const auto check = [this](std::string_view who) {
    for (const Mode mode :
         {Mode::kSanitize, Mode::kForwardOnly, Mode::kAppendForward, Mode::kSanitizeSet}) {
      EXPECT_EQ(run(mode, {"Hash=1"}), "") << who;
    }
    EXPECT_EQ(run(Mode::kAlwaysForwardOnly, {"Hash=1"}), "Hash=1") << who;
  };
  identity_.verified = false;
  check("a certificate that nobody verified");
  identity_.presented = false;
  check("TLS without a certificate");
  connection_.identity = nullptr;
  check("plain text");
}

TEST_F(ClientCertHeader, SaysWhatItIsAskedForInEnvoysOrder) {
  certificate_.chain = {"\xff", "\xfe"};
  details_ = {true, true, true, true, true};
  EXPECT_EQ(
      run(Mode::kSanitizeSet),
      str(kOurs,
          ";Cert=\"-----BEGIN%20CERTIFICATE-----%0A%2Fw%3D%3D%0A-----END%20CERTIFICATE-----%0A\"",
          ";Chain=\"-----BEGIN%20CERTIFICATE-----%0A%2Fw%3D%3D%0A-----END%20CERTIFICATE-----%0A"
          "-----BEGIN%20CERTIFICATE-----%0A%2Fg%3D%3D%0A-----END%20CERTIFICATE-----%0A\"",
          ";Subject=\"CN=customer\";URI=spiffe://mesh.local/ns/shop/sa/"
          "customer;DNS=customer.shop"));
}

TEST_F(ClientCertHeader, TellsAllNames) {
  certificate_.uri_sans = {"spiffe://a/x", "spiffe://a/y"};
  certificate_.dns_sans = {"a", "b", "c"};
  own_.uri_sans = {"spiffe://b/x", "spiffe://b/y"};
  details_ = {.subject = true, .dns = true, .uri = true};
  certificate_.subject = "";
  EXPECT_EQ(run(Mode::kSanitizeSet),
            "By=spiffe://b/x;By=spiffe://b/y;Hash=ab12;Subject=\"\";URI=spiffe://a/x;"
            "URI=spiffe://a/y;DNS=a;DNS=b;DNS=c");
  certificate_.uri_sans = certificate_.dns_sans = own_.uri_sans = {};
  EXPECT_EQ(run(Mode::kSanitizeSet), "Hash=ab12;Subject=\"\";URI=");
}

TEST_F(ClientCertHeader, QuotesWhatWouldReadAsMore) {
  details_ = {.subject = true, .dns = true, .uri = true};
  certificate_.subject = "CN=a\\,b,O=\"x\";URI=spiffe://forged";
  certificate_.uri_sans = {"spiffe://a/x;URI=spiffe://forged", "spiffe://a/?b=c", "spiffe://a,b"};
  certificate_.dns_sans = {"a\"", "b\\"};
  const std::string text = run(Mode::kSanitizeSet);
  EXPECT_EQ(text, str(kOurs, ";Subject=\"CN=a\\\\,b,O=\\\"x\\\";URI=spiffe://forged\"",
                      ";URI=\"spiffe://a/x;URI=spiffe://forged\";URI=\"spiffe://a/?b=c\"",
                      ";URI=\"spiffe://a,b\";DNS=\"a\\\"\";DNS=\"b\\\\\""));
  XfccReader reader(text);
  XfccPair pair;
  int pairs = 0;
  while (reader.next(pair) == XfccReader::Step::kPair) ++pairs;
  EXPECT_EQ(pairs, 8);
  EXPECT_EQ(reader.next(pair), XfccReader::Step::kEnd) << "one element";
}

TEST_F(ClientCertHeader, AppendsNothingToWhatWouldSwallowIt) {
  for (const std::string_view open : {"Subject=\"", "Hash=1;URI=\"a", "Subject=\"a\\\"", "URI=a\"b",
                                      "", "Hash", "=x", "Hash=1,", "Hash=1;", "Subject=\"a\"b"}) {
    EXPECT_EQ(run(Mode::kAppendForward, {open}), kOurs) << open;
    EXPECT_EQ(run(Mode::kAppendForward, {"Hash=1", open}), kOurs) << open;
  }
}

TEST_F(ClientCertHeader, LeavesPemOutThatWouldFillAHead) {
  const std::string large(12 * 1024, 'x');
  details_ = {.cert = true, .chain = true};
  certificate_.chain = {"\xff", large, large};
  const std::string text = run(Mode::kSanitizeSet);
  EXPECT_NE(text.find(";Cert="), text.npos);
  EXPECT_EQ(text.find(";Chain="), text.npos);
  certificate_.chain = {large, "\xff"};
  certificate_.chain[0] = std::string_view(large).substr(0, 12 * 1024);
  EXPECT_NE(run(Mode::kSanitizeSet).find(";Cert="), std::string::npos);
}

TEST(Xfcc, ReadsElementsAndPairs) {
  const std::string_view text =
      "By=http://"
      "frontend.lyft.com;Hash=468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688;"
      "Subject=\"/C=US/O=\\\"Lyft\\\"\";URI=http://testclient.lyft.com?a=b , By=x;URI=;DNS=y";
  XfccReader reader(text);
  std::string out;
  for (XfccPair pair;;) {
    const XfccReader::Step step = reader.next(pair);
    if (step == XfccReader::Step::kEnd) break;
    ASSERT_NE(step, XfccReader::Step::kMalformed);
    out += step == XfccReader::Step::kElement
               ? "| "
               : str(pair.key, pair.quoted ? " quoted " : " ", pair.value, ' ');
  }
  EXPECT_EQ(out,
            "By http://frontend.lyft.com Hash "
            "468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688 Subject quoted "
            "/C=US/O=\\\"Lyft\\\" URI http://testclient.lyft.com?a=b  | By x URI  DNS y ");
}

}  // namespace
}  // namespace pillion::core
