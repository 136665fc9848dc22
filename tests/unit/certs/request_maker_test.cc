#include "certs/request_maker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "proxy/tls/issue.h"
#include "proxy/tls/x509_info.h"
#include "tests/support/run_until.h"
#include "tests/support/test_ca.h"

namespace pillion::certs {
namespace {

using testing::now_seconds;
using testing::run_until;
using testing::TestCa;

struct Observer final : RequestMakerObserver {
  void on_request_made(Result<tls::SigningRequest> one) override { made = std::move(one); }
  std::optional<Result<tls::SigningRequest>> made;
};

class RequestMakerTest : public ::testing::Test {
 protected:
  io::Loop loop;
  Observer observer;
  RequestMaker maker{loop, observer};
};

TEST_F(RequestMakerTest, MakesSmallKeysAtOnce) {
  for (const tls::KeyType key : {tls::KeyType::kP256, tls::KeyType::kP384}) {
    observer.made.reset();
    maker.start(key, {});
    EXPECT_FALSE(maker.is_busy());
    ASSERT_TRUE(observer.made && *observer.made);
  }
}

TEST_F(RequestMakerTest, MakesRsaKeysWhileTheLoopGoesOn) {
  maker.start(tls::KeyType::kRsa2048, {{tls::SanType::kUri, "spiffe://a/b"}});
  EXPECT_TRUE(maker.is_busy());
  EXPECT_FALSE(observer.made) << "the loop was held up";
  ASSERT_TRUE(run_until(loop, [&] { return observer.made.has_value(); }));
  EXPECT_FALSE(maker.is_busy());
  ASSERT_TRUE(*observer.made) << observer.made->error();
  const TestCa ca;
  tls::CertificateRequest request;
  request.not_before = now_seconds() - 60;
  request.not_after = now_seconds() + 60;
  const auto certificate = tls::sign_request((*observer.made)->csr_pem, request, ca.own());
  EXPECT_TRUE(certificate) << certificate.error();
  // And another one.
  observer.made.reset();
  maker.start(tls::KeyType::kRsa2048, {});
  ASSERT_TRUE(run_until(loop, [&] { return observer.made.has_value(); }));
}

TEST_F(RequestMakerTest, GivesUpWhenItIsCancelled) {
  for (int i = 0; i < 3; ++i) {
    maker.start(tls::KeyType::kRsa4096, {});
    maker.cancel();
    EXPECT_FALSE(maker.is_busy());
  }
  loop.run_once(false);
  EXPECT_FALSE(observer.made);
  // Also with the result on its way.
  maker.start(tls::KeyType::kRsa2048, {});
}

}  // namespace
}  // namespace pillion::certs
