#include "proxy/tls/spiffe_id.h"

#include <gtest/gtest.h>

namespace pillion::tls {
namespace {

TEST(SpiffeId, TellsTheTrustDomain) {
  EXPECT_EQ(trust_domain_of("spiffe://mesh.local/ns/shop/sa/users").value(), "mesh.local");
  EXPECT_EQ(trust_domain_of("spiffe://a/B_9.-").value(), "a");
}

TEST(SpiffeId, HasOneSpellingOnly) {
  for (const char* bad : {"",
                          "spiffe:",
                          "spiffe://",
                          "spiffe:///",
                          "spiffe:///a",
                          "spiffe://a",
                          "spiffe://a/",
                          "Spiffe://a/b",
                          "https://a/b",
                          "spiffe:/a/b",
                          "spiffe://A/b",
                          "spiffe://a:1/b",
                          "spiffe://u@a/b",
                          "spiffe://a/b/",
                          "spiffe://a//b",
                          "spiffe://a/./b",
                          "spiffe://a/..",
                          "spiffe://a/%62",
                          "spiffe://a/b?c",
                          "spiffe://a/b#c",
                          "spiffe://a/b c",
                          " spiffe://a/b",
                          "spiffe://a/b\n",
                          "spiffe://a/\xc3\xa4",
                          "spiffe://[::1]/a",
                          "spiffe://a/b;c"}) {
    EXPECT_FALSE(trust_domain_of(bad)) << bad;
  }
}

TEST(SpiffeId, ClaimsAreKnownInAnyCase) {
  for (const char* claim : {"spiffe://a/b", "SPIFFE://a", "Spiffe:x", "spiffe:"}) {
    EXPECT_TRUE(claims_to_be_spiffe(claim)) << claim;
  }
  for (const char* other : {"", "spiffe", "https://spiffe:", "xspiffe://a", "spiffex://a/b"}) {
    EXPECT_FALSE(claims_to_be_spiffe(other)) << other;
  }
}

}  // namespace
}  // namespace pillion::tls
