#include "certs/svid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/tls/x509_info.h"
#include "tests/support/der.h"
#include "tests/support/test_ca.h"

namespace pillion::certs {
namespace {

using ::pillion::testing::der_of;
using ::pillion::testing::TestCa;
using ::testing::HasSubstr;
using tls::San;
using tls::SanType;

constexpr const char* kUsers = "spiffe://mesh.local/ns/shop/sa/users";

TEST(Svid, IsTakenWithOneSpiffeIdAndItsOwnKey) {
  const TestCa ca;
  const auto leaf = ca.issue({{SanType::kUri, kUsers}, {SanType::kDns, "users.shop"}});
  const auto svid = check_svid(leaf.certificate_pem, leaf.key_pem, wall_now());
  ASSERT_TRUE(svid) << svid.error();
  EXPECT_EQ(svid->id, kUsers);
  EXPECT_EQ(svid->trust_domain, "mesh.local");
  EXPECT_GT(svid->not_after, wall_now() + std::chrono::hours(23));
}

TEST(Svid, MayBeginALittleLaterAndEndWhenNobodyCountsNanoseconds) {
  const TestCa ca;
  const auto early = ca.issue({{SanType::kUri, kUsers}}, [](auto& r) {
    r.not_before = ::pillion::testing::now_seconds() + 60;
  });
  EXPECT_TRUE(check_svid(early.certificate_pem, early.key_pem, wall_now()));
  // 9999-12-31T23:59:59Z, which means "for ever" (RFC 5280, 4.1.2.5).
  const auto late =
      ca.issue({{SanType::kUri, kUsers}}, [](auto& r) { r.not_after = 253'402'300'799; });
  const auto svid = check_svid(late.certificate_pem, late.key_pem, wall_now());
  ASSERT_TRUE(svid) << svid.error();
  EXPECT_GT(svid->not_after, wall_now() + std::chrono::hours(24 * 365 * 100));
}

TEST(Svid, IsRefusedIfItIsNone) {
  const TestCa ca;
  const auto other = ca.issue({{SanType::kUri, kUsers}});
  struct Case {
    std::vector<San> sans;
    TestCa::Tweak tweak;
    const char* reason;
  };
  const Case cases[] = {
      {{{SanType::kDns, "users.shop"}}, {}, "has 0 URI SANs"},
      {{{SanType::kUri, kUsers}, {SanType::kUri, "spiffe://mesh.local/b"}}, {}, "has 2 URI SANs"},
      {{{SanType::kUri, "https://mesh.local/users"}}, {}, "expected spiffe://"},
      {{{SanType::kUri, "spiffe://mesh.local"}}, {}, "no path"},
      {{{SanType::kUri, "spiffe://mesh.local/a/../b"}}, {}, "'..'"},
      {{{SanType::kUri, kUsers}}, [](auto& r) { r.is_ca = true; }, "that of a CA"},
      {{{SanType::kUri, kUsers}},
       [](auto& r) { r.not_before = ::pillion::testing::now_seconds() + 600; },
       "is not valid before"},
      {{{SanType::kUri, kUsers}},
       [](auto& r) { r.not_after = ::pillion::testing::now_seconds() - 1; },
       "expired at"},
  };
  for (const Case& c : cases) {
    const auto leaf = ca.issue(c.sans, c.tweak);
    const auto svid = check_svid(leaf.certificate_pem, leaf.key_pem, wall_now());
    ASSERT_FALSE(svid) << c.reason;
    EXPECT_THAT(svid.error(), HasSubstr(c.reason));
  }
  const auto leaf = ca.issue({{SanType::kUri, kUsers}});
  const auto svid = check_svid(leaf.certificate_pem, other.key_pem, wall_now());
  ASSERT_FALSE(svid);
  EXPECT_THAT(svid.error(), HasSubstr("does not belong"));
  EXPECT_FALSE(check_svid("", leaf.key_pem, wall_now()));
  EXPECT_FALSE(check_svid(leaf.certificate_pem, "", wall_now()));
}

TEST(Bundle, HasCertificatesOfCasAlone) {
  const TestCa ca, second;
  EXPECT_TRUE(check_bundle(ca.pem() + second.pem()));
  EXPECT_FALSE(check_bundle(""));
  const auto with_leaf =
      check_bundle(ca.pem() + ca.issue({{SanType::kUri, kUsers}}).certificate_pem);
  ASSERT_FALSE(with_leaf);
  EXPECT_THAT(with_leaf.error(), HasSubstr("no CA's certificate"));
}

TEST(PemOfDer, CutsValuesApartAndBack) {
  const TestCa ca, second;
  const auto leaf = ca.issue({{SanType::kUri, kUsers}});
  const std::string der = der_of(ca.pem() + second.pem() + leaf.certificate_pem);
  EXPECT_EQ(pem_of_der("CERTIFICATE", der), ca.pem() + second.pem() + leaf.certificate_pem)
      << "as the library writes it";
  EXPECT_EQ(pem_of_der("PRIVATE KEY", der_of(leaf.key_pem), 1), leaf.key_pem);
  EXPECT_FALSE(pem_of_der("CERTIFICATE", der, 2)) << "there are three";
  EXPECT_FALSE(pem_of_der("CERTIFICATE", ""));
  EXPECT_FALSE(pem_of_der("CERTIFICATE", der.substr(0, der.size() - 1)));
  EXPECT_FALSE(pem_of_der("CERTIFICATE", der + '\x30'));
  EXPECT_FALSE(pem_of_der("CERTIFICATE", "\x31\x01x"));
  EXPECT_FALSE(pem_of_der("CERTIFICATE", "\x30\x80x")) << "indefinite length";
  EXPECT_FALSE(pem_of_der("CERTIFICATE", "\x30\x85xxxxxx"));
}

}  // namespace
}  // namespace pillion::certs
