#include "proxy/tls/reason.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

namespace pillion::tls {
namespace {

void put(int library, int reason) { ERR_put_error(library, 0, reason, __FILE__, __LINE__); }

TEST(Reason, SaysWhatAPersonWouldSay) {
  struct Case {
    int reason;
    Role role;
    const char* text;
  };
  const Case cases[] = {
      {SSL_R_HTTP_REQUEST, Role::kServer, "the client speaks plain HTTP on a TLS port"},
      {SSL_R_WRONG_VERSION_NUMBER, Role::kServer, "the client does not speak TLS"},
      {SSL_R_WRONG_VERSION_NUMBER, Role::kClient,
       "the server does not speak TLS (is the port plain text?)"},
      {SSL_R_NO_SHARED_CIPHER, Role::kServer, "no common cipher suite"},
      {SSL_R_BAD_SIGNATURE, Role::kServer, "bad signature"},
  };
  for (const Case& c : cases) {
    put(ERR_LIB_SSL, c.reason);
    const SslError error = take_ssl_error(c.role);
    EXPECT_EQ(error.text, c.text);
    EXPECT_EQ(error.peer_alert, 0);
    EXPECT_FALSE(error.no_certificate);
    EXPECT_EQ(ERR_peek_error(), 0u) << "the queue is empty again";
  }
}

TEST(Reason, TheFirstErrorOfTheSslLibraryIsTheCause) {
  put(ERR_LIB_X509, 100);
  put(ERR_LIB_SSL, SSL_R_NO_SHARED_GROUP);
  put(ERR_LIB_SSL, SSL_R_SSL_HANDSHAKE_FAILURE);
  EXPECT_EQ(take_ssl_error(Role::kServer).text, "no common key exchange group");
}

TEST(Reason, AlertsOfThePeerAreNamed) {
  put(ERR_LIB_SSL, SSL_R_TLSV1_ALERT_UNKNOWN_CA);
  const SslError error = take_ssl_error(Role::kClient);
  EXPECT_EQ(error.text, "the peer sent the alert \"unknown CA\"");
  EXPECT_EQ(error.peer_alert, SSL_AD_UNKNOWN_CA);
}

TEST(Reason, AMissingCertificateIsMarked) {
  put(ERR_LIB_SSL, SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE);
  EXPECT_TRUE(take_ssl_error(Role::kServer).no_certificate);
}

TEST(Reason, AnEmptyQueueIsAnUnknownError) {
  EXPECT_EQ(take_ssl_error(Role::kServer).text, "unknown error");
}

TEST(Reason, TellsAlertsAboutOurCertificate) {
  for (const int alert : {SSL_AD_UNKNOWN_CA, SSL_AD_CERTIFICATE_REQUIRED, SSL_AD_BAD_CERTIFICATE}) {
    EXPECT_TRUE(is_certificate_alert(static_cast<uint8_t>(alert)));
  }
  for (const int alert : {0, SSL_AD_CLOSE_NOTIFY, SSL_AD_BAD_RECORD_MAC, SSL_AD_PROTOCOL_VERSION,
                          SSL_AD_INTERNAL_ERROR}) {
    EXPECT_FALSE(is_certificate_alert(static_cast<uint8_t>(alert)));
  }
}

}  // namespace
}  // namespace pillion::tls
