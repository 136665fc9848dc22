#pragma once
// The jwt_authn filter, and issuers whose tokens it knows.

#include <string>

#include "tests/support/jwt_signer.h"
#include "tests/support/test_ca.h"
#include "tests/unit/filters/filter_fixture.h"

namespace pillion::filters {

using testing::jwks;
using testing::JwtSigner;
using testing::now_seconds;

class JwtAuthn : public FilterTest {
 protected:
  JwtAuthn() : FilterTest("envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication") {}

  // One key for all tests of a process: making it takes longer than a test.
  static const JwtSigner& ann() {
    static const JwtSigner signer("ES256", "a");
    return signer;
  }
  static const JwtSigner& bob() {
    static const JwtSigner signer("EdDSA", "b");
    return signer;
  }
  // A provider "NAME: {...}" with the issuer's keys in it.
  static std::string provider(std::string_view name, std::string_view issuer,
                              const JwtSigner& signer, std::string_view more = {}) {
    return str(name, ": { issuer: ", issuer, ", local_jwks: { inline_string: '", jwks({&signer}),
               "' }", more.empty() ? "" : ", ", more, " }");
  }
  // One provider "p" of issuer ann, and what is required of all requests.
  void configure_ann(std::string_view more = {},
                     std::string_view requires_what = "provider_name: p",
                     std::string_view rest = {}) {
    configure(str("{ providers: { ", provider("p", "ann", ann(), more),
                  " }, rules: [ { match: { prefix: / }, requires: { ", requires_what, " } } ]",
                  rest.empty() ? "" : ", ", rest, " }"));
  }
  static std::string ann_token(std::string_view more = {}) {
    return ann().token(str(R"({"iss":"ann","sub":"x")", more.empty() ? "" : ",", more, '}'));
  }
  static Fields bearer(std::string_view token) {
    return {{"authorization", str("Bearer ", token)}};
  }
  // "ok", or the status and body of the answer.
  std::string verdict(const Fields& fields) {
    const Exchange& e = exchange(fields);
    return e.passed ? "ok" : str(e.status, ' ', e.reply_body);
  }
};

}  // namespace pillion::filters
