#include "certs/expiry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/base/str.h"
#include "proxy/stats/exposition.h"
#include "tests/support/log_capture.h"
#include "tests/support/run_until.h"

namespace pillion::certs {
namespace {

using pillion::testing::LogCapture;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

constexpr WallTime kStart = WallTime(1'000'000h);

// A clock of its own, and a list that the test sets.
class ExpiryTest : public ::testing::Test, public ExpiryHost {
 protected:
  [[nodiscard]] std::vector<CertificateInForce> certificates_in_force() const override {
    return items;
  }

  static CertificateInForce item(std::string name, WallTime from, WallTime until,
                                 CertificateKind kind = CertificateKind::kOurs) {
    return {kind, std::move(name), from, until};
  }
  // What timers do in that time.
  void pass(Duration time) {
    now += time;
    loop.skip(time);
  }
  void change() {
    expiry.changed();
    loop.skip(250ms);
  }
  std::string prometheus() {
    std::string out;
    const auto text = stats::make_prometheus(registry, {});
    while (text->next(out)) {
    }
    return out;
  }

  io::Loop loop;
  stats::Registry registry;
  WallTime now = kStart;
  std::vector<CertificateInForce> items;
  Expiry expiry{loop, registry, *this, [this] { return now; }};
};

TEST_F(ExpiryTest, WarnsOnceBeforeTheEndAndSaysOnceThatItIsOver) {
  LogCapture log;
  items = {item("sds/default", kStart, kStart + 10h)};
  items[0].failure = "Connection refused";
  change();
  pass(7h + 59min);
  EXPECT_EQ(log.text(), "");
  pass(2min);
  EXPECT_THAT(log.text(), AllOf(HasSubstr("warning"), HasSubstr("sds/default"),
                                HasSubstr("has not been renewed"), HasSubstr("Connection refused"),
                                HasSubstr("expires=2084-01-30T02:00:00Z")));
  EXPECT_EQ(log.count("[error]"), 0u);
  pass(1h + 58min);
  EXPECT_EQ(log.count("\n"), 1u) << log.text();
  pass(2min);
  EXPECT_EQ(log.count("[error]"), 1u) << log.text();
  EXPECT_EQ(log.count("a certificate has expired; it stays in use"), 1u);
  // However often somebody looks.
  for (int i = 0; i < 5; ++i) change(), prometheus(), pass(1h);
  EXPECT_EQ(log.count("\n"), 2u) << log.text();
}

TEST_F(ExpiryTest, SaysNothingWhileItIsRenewedInTime) {
  LogCapture log;
  for (int i = 0; i < 100; ++i) {
    items = {item("sds/default", now, now + 10s),
             item("ca.crt", now, now + 20s, CertificateKind::kTrustedCa)};
    change();
    pass(1s);
  }
  EXPECT_EQ(log.text(), "");
}

TEST_F(ExpiryTest, BeginsAnewWithTheNextCertificate) {
  LogCapture log;
  items = {item("a.crt", kStart, kStart + 10h)};
  change();
  pass(9h);
  EXPECT_EQ(log.count("has not been renewed"), 1u);
  items = {item("a.crt", now, now + 10h)};
  change();
  pass(7h);
  EXPECT_EQ(log.count("has not been renewed"), 1u);
  pass(2h);
  EXPECT_EQ(log.count("has not been renewed"), 2u);
}

TEST_F(ExpiryTest, TellsAtOnceOfOneThatIsOverWhenItComes) {
  LogCapture log;
  items = {item("a.crt", kStart - 10h, kStart - 1s)};
  change();
  EXPECT_EQ(log.count("[error]"), 1u) << log.text();
  EXPECT_EQ(log.count("[warning]"), 0u);
}

TEST_F(ExpiryTest, DoesNotTakeOneForOldThatWasDatedBack) {
  // Five minutes that begin an hour ago: CAs do this for the sake of late clocks.
  LogCapture log;
  items = {item("csr/ca", kStart - 1h, kStart + 5min)};
  change();
  pass(3min);
  EXPECT_EQ(log.text(), "");
  pass(90s);
  EXPECT_EQ(log.count("has not been renewed"), 1u);
}

TEST_F(ExpiryTest, WarnsAMonthBeforeOfWhatLastsForYears) {
  LogCapture log;
  items = {item("a.crt", kStart, kStart + 24h * 3650)};
  change();
  for (int day = 0; day < 3619; ++day) pass(24h);
  EXPECT_EQ(log.text(), "");
  pass(24h + 1s);
  EXPECT_EQ(log.count("has not been renewed"), 1u);
}

TEST_F(ExpiryTest, HasGaugesThatFollowRotationAndGoWithTheirCertificate) {
  items = {item("sds/default", kStart - 60s, kStart + 1h),
           item("/etc/certs/a\"b\\c.crt", kStart, kStart + 2h),
           item("ca.crt", kStart, kStart + 3h, CertificateKind::kTrustedCa)};
  const int64_t start =
      std::chrono::duration_cast<std::chrono::seconds>(kStart.time_since_epoch()).count();
  std::string text = prometheus();
  EXPECT_THAT(text, HasSubstr(str("envoy_ssl_certificate_expiration_unix_time_seconds{"
                                  "envoy_tls_certificate=\"sds/default\"} ",
                                  start + 3600, "\n")));
  EXPECT_THAT(
      text,
      HasSubstr("envoy_ssl_certificate_age_seconds{envoy_tls_certificate=\"sds/default\"} 60\n"));
  EXPECT_THAT(text, HasSubstr("envoy_tls_certificate=\"/etc/certs/a\\\"b\\\\c.crt\"} "));
  EXPECT_THAT(text, HasSubstr(str("envoy_ssl_trusted_ca_expiration_unix_time_seconds{"
                                  "envoy_tls_trusted_ca=\"ca.crt\"} ",
                                  start + 10800, "\n")));
  pass(90min);
  text = prometheus();
  EXPECT_THAT(
      text, HasSubstr("envoy_ssl_certificate_expired{envoy_tls_certificate=\"sds/default\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("envoy_ssl_trusted_ca_expired{envoy_tls_trusted_ca=\"ca.crt\"} 0\n"));
  items.erase(items.begin() + 1);
  items[0] = item("sds/default", now, now + 1h);
  text = prometheus();
  EXPECT_THAT(
      text, HasSubstr("envoy_ssl_certificate_expired{envoy_tls_certificate=\"sds/default\"} 0\n"));
  EXPECT_THAT(
      text,
      HasSubstr("envoy_ssl_certificate_age_seconds{envoy_tls_certificate=\"sds/default\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("c.crt\"} ")));
  items.clear();
  EXPECT_THAT(prometheus(), Not(HasSubstr("envoy_tls_")));
}

TEST_F(ExpiryTest, TakesTheFirstOfOurCertificatesAndTheLastOfTheTrusted) {
  LogCapture log;
  // A bundle rolls over: its old CA ends, and that is as it should be.
  items = {item("ca.crt", kStart, kStart + 1h, CertificateKind::kTrustedCa),
           item("ca.crt", kStart, kStart + 100h, CertificateKind::kTrustedCa),
           item("ca.crt", kStart, kStart + 2h, CertificateKind::kTrustedCa),
           item("<inline>", kStart, kStart + 200h),
           item("<inline>", kStart, kStart + 10h),
           item("<inline>", kStart, kStart + 20h)};
  change();
  pass(7h);
  EXPECT_EQ(log.text(), "");
  pass(2h);
  EXPECT_EQ(log.count("\n"), 1u) << log.text();
  EXPECT_EQ(log.count("certificate=<inline>"), 1u) << log.text();
  items.resize(3);
  pass(90h);
  EXPECT_EQ(log.count("trusted CAs expire soon"), 1u) << log.text();
  pass(2h);
  EXPECT_EQ(log.count("trusted CAs have expired"), 1u) << log.text();
}

TEST_F(ExpiryTest, BoundsTheNumberOfGaugesNotTheWarnings) {
  for (size_t i = 0; i < Expiry::kMostGauges + 40; ++i)
    items.push_back(item(str("c", i), kStart, kStart + 10h));
  LogCapture log;
  change();
  EXPECT_EQ(registry.scopes(stats::Kind::kCertificateStats).size(), Expiry::kMostGauges);
  pass(9h);
  EXPECT_EQ(log.count("has not been renewed"), items.size());
  // Room is made by those that go.
  items.erase(items.begin(), items.begin() + 100);
  change();
  EXPECT_EQ(registry.scopes(stats::Kind::kCertificateStats).size(), items.size());
}

}  // namespace
}  // namespace pillion::certs
