#include "proxy/base/base64.h"
#include "tests/unit/filters/jwt_fixture.h"

namespace pillion::filters {
namespace {

TEST_F(JwtAuthn, LetsAGoodTokenPassAndTakesItAway) {
  configure_ann();
  Exchange& good = exchange(bearer(ann_token()));
  EXPECT_TRUE(good.passed);
  EXPECT_EQ(good.header("authorization"), "");
  EXPECT_EQ(stats<stats::JwtAuthnStats>("web").allowed.value(), 1u);
}

TEST_F(JwtAuthn, TellsWhatIsMissingAsEnvoyDoes) {
  configure_ann();
  Exchange& none = exchange({{":path", "/a?b=\"c\""}});
  EXPECT_FALSE(none.passed);
  EXPECT_EQ(none.status, 401);
  EXPECT_EQ(none.reply_body, "Jwt is missing");
  EXPECT_EQ(none.details, "jwt_authn_access_denied{Jwt_is_missing}");
  EXPECT_EQ(none.response_header("www-authenticate"), R"(Bearer realm="http://a/a?b=\"c\"")");
  Exchange& bad = exchange(bearer(ann_token(R"("exp":1)")));
  EXPECT_EQ(bad.response_header("www-authenticate"),
            R"(Bearer realm="http://a/", error="invalid_token")");
  EXPECT_EQ(stats<stats::JwtAuthnStats>("web").denied.value(), 2u);
}

TEST_F(JwtAuthn, StripsTheReasonWhereThatIsAsked) {
  configure_ann("", "provider_name: p", "strip_failure_response: true");
  Exchange& none = exchange();
  EXPECT_EQ(none.status, 401);
  EXPECT_EQ(none.reply_body, "");
  EXPECT_EQ(none.response_header("www-authenticate"), "");
  EXPECT_EQ(none.details, "jwt_authn_access_denied{Jwt_is_missing}");
}

// ---- tokens ----

TEST_F(JwtAuthn, JudgesTheFormOfATokenBeforeItsSignature) {
  configure_ann();
  const auto header = [](std::string_view json) { return ann().sign(json, R"({"iss":"ann"})"); };
  const auto payload = [](std::string_view json) { return ann().token(json); };
  const std::string good = ann_token();
  const std::string h = good.substr(0, good.find('.'));
  const std::pair<std::string, std::string_view> cases[] = {
      {good, "ok"},
      {"x", "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"},
      {"a.b",
       "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"},
      {"a.b.c.d",
       "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"},
      {h + "..",
       "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"},
      {str('.', good),
       "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"},
      {good + '.',
       "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"},
      {std::string(17000, 'a') + ".b.c",
       "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"},
      {"a=.b.c", "401 Jwt header is an invalid Base64url encoded"},
      {header("{"), "401 Jwt header is an invalid JSON"},
      {header("[]"), "401 Jwt header is an invalid JSON"},
      {header(R"({"alg":"ES256","alg":"ES256"})"), "401 Jwt header is an invalid JSON"},
      {header("{}"), "401 Jwt header [alg] field is required and must be a string"},
      {header(R"({"alg":256})"), "401 Jwt header [alg] field is required and must be a string"},
      {header(R"({"alg":"none"})"), "401 Jwt header [alg] is not supported"},
      {header(R"({"alg":"HS256"})"), "401 Jwt header [alg] is not supported"},
      {header(R"({"alg":"ES256","kid":1})"), "401 Jwt header [kid] field is not a string"},
      {header(R"({"alg":"ES256","crit":["exp"]})"), "401 Jwt header [crit] is not supported"},
      {header(R"({"alg":"ES256","crit":[]})"), "401 Jwt header [crit] is not supported"},
      {str(h, ".a.c"), "401 Jwt payload is an invalid Base64url encoded"},
      {payload("{"), "401 Jwt payload is an invalid JSON"},
      {payload(R"("text")"), "401 Jwt payload is an invalid JSON"},
      {payload(R"({"iss":"bob","iss":"ann"})"), "401 Jwt payload is an invalid JSON"},
      {payload(str(std::string(40, '['), std::string(40, ']'))),
       "401 Jwt payload is an invalid JSON"},
      {payload(R"({"iss":["ann"]})"), "401 Jwt payload [iss] field is not a string"},
      {payload(R"({"iss":"ann","sub":1})"), "401 Jwt payload [sub] field is not a string"},
      {payload(R"({"iss":"ann","jti":1})"), "401 Jwt payload [jti] field is not a string"},
      {payload(R"({"iss":"ann","aud":1})"),
       "401 Jwt payload [aud] field is not a string or string list"},
      {payload(R"({"iss":"ann","aud":["a",1]})"),
       "401 Jwt payload [aud] field is not a string or string list"},
      {payload(R"({"iss":"ann","iat":"1"})"), "401 Jwt payload [iat] field is not an integer"},
      {payload(R"({"iss":"ann","iat":-1})"),
       "401 Jwt payload [iat] field is not a positive 64 bit integer"},
      {good.substr(0, good.rfind('.') + 2), "401 Jwt signature is an invalid Base64url encoded"},
      {good + "=", "401 Jwt signature is an invalid Base64url encoded"},
      {payload(R"({"iss":"bob"})"), "401 Jwt issuer is not configured"},
      {payload(R"({})"), "401 Jwt issuer is not configured"},
      {bob().token(R"({"iss":"ann"})"), "401 Jwks doesn't have key to match kid or alg from Jwt"},
      {header(R"({"alg":"RS256"})"), "401 Jwks doesn't have key to match kid or alg from Jwt"},
      {header(R"({"alg":"ES256","kid":"other"})"),
       "401 Jwks doesn't have key to match kid or alg from Jwt"},
      {header(R"({"alg":"ES256"})"), "ok"},
      {JwtSigner("ES256", "a").token(R"({"iss":"ann"})"), "401 Jwt verification fails"},
  };
  for (const auto& [token, expected] : cases) EXPECT_EQ(verdict(bearer(token)), expected) << token;
}

// What was signed is the text, so that nothing in it can be changed.
TEST_F(JwtAuthn, ATokenThatWasChangedAnywhereIsNone) {
  configure_ann();
  const std::string good = ann_token();
  for (size_t i = 0; i < good.size(); ++i) {
    std::string changed = good;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_NE(verdict(bearer(changed)), "ok") << i;
  }
}

TEST_F(JwtAuthn, KnowsEveryNumberThatATimeCanBe) {
  configure_ann();
  const int64_t now = now_seconds();
  const std::pair<std::string, std::string_view> cases[] = {
      {str(R"("exp":)", now + 1000), "ok"},
      {str(R"("exp":)", now - 30), "ok"},  // within the skew of 60 s
      {str(R"("exp":)", now - 100), "401 Jwt is expired"},
      {str(R"("exp":)", now - 100, ".999"), "401 Jwt is expired"},
      {R"("exp":0)", "401 Jwt is expired"},
      {R"("exp":1e3)", "401 Jwt is expired"},
      {R"("exp":1e15)", "ok"},
      {R"("exp":18446744073709551615)",
       "401 Jwt payload [exp] field is not a positive 64 bit integer"},
      {R"("exp":9223372036854775808)", "ok"},
      {R"("exp":1e30)", "401 Jwt payload [exp] field is not a positive 64 bit integer"},
      {R"("exp":1e999)", "401 Jwt payload is an invalid JSON"},
      {R"("exp":-1)", "401 Jwt payload [exp] field is not a positive 64 bit integer"},
      {R"("exp":"1")", "401 Jwt payload [exp] field is not an integer"},
      {R"("exp":null)", "401 Jwt payload [exp] field is not an integer"},
      {R"("exp":true)", "401 Jwt payload [exp] field is not an integer"},
      {str(R"("nbf":)", now - 1000), "ok"},
      {str(R"("nbf":)", now + 30), "ok"},
      {str(R"("nbf":)", now + 100), "401 Jwt not yet valid"},
      {R"("nbf":1e19)", "401 Jwt not yet valid"},
      {R"("nbf":-0.5)", "401 Jwt payload [nbf] field is not a positive 64 bit integer"},
      {R"("nbf":[])", "401 Jwt payload [nbf] field is not an integer"},
      {R"("iat":99999999999)", "ok"},  // when it was made is nobody's business
  };
  for (const auto& [claim, expected] : cases)
    EXPECT_EQ(verdict(bearer(ann_token(claim))), expected) << claim;
}

TEST_F(JwtAuthn, TheSkewIsConfigurable) {
  configure_ann("clock_skew_seconds: 5");
  EXPECT_EQ(verdict(bearer(ann_token(str(R"("exp":)", now_seconds() - 30)))), "401 Jwt is expired");
  EXPECT_EQ(verdict(bearer(ann_token(str(R"("nbf":)", now_seconds() + 30)))),
            "401 Jwt not yet valid");
}

TEST_F(JwtAuthn, AudiencesAreComparedWithoutSchemeAndSlash) {
  configure_ann("audiences: [ https://one.example/, two ]");
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"("aud":"one.example")", "ok"},
      {R"("aud":"http://one.example")", "ok"},
      {R"("aud":["x","two/"])", "ok"},
      {R"("aud":"three")", "403 Audiences in Jwt are not allowed"},
      {R"("aud":[])", "403 Audiences in Jwt are not allowed"},
      {R"("aud":"")", "403 Audiences in Jwt are not allowed"},
      {R"("nonce":"two")", "403 Audiences in Jwt are not allowed"},
  };
  for (const auto& [claim, expected] : cases)
    EXPECT_EQ(verdict(bearer(ann_token(claim))), expected) << claim;
}

TEST_F(JwtAuthn, SubjectAndLifetimeCanBeBounded) {
  configure_ann("subjects: { prefix: good }, max_lifetime: 3600s");
  const int64_t now = now_seconds();
  const auto token = [&](std::string_view subject, std::string_view exp) {
    return ann().token(str(R"({"iss":"ann","sub":")", subject, '"', exp, '}'));
  };
  EXPECT_EQ(verdict(bearer(token("good-1", str(R"(,"exp":)", now + 1000)))), "ok");
  EXPECT_EQ(verdict(bearer(token("bad", str(R"(,"exp":)", now + 1000)))),
            "401 Jwt verification fails");
  EXPECT_EQ(verdict(bearer(token("good-1", str(R"(,"exp":)", now + 4000)))),
            "401 Jwt verification fails");
  EXPECT_EQ(verdict(bearer(token("good-1", ""))), "401 Jwt verification fails");
  configure_ann("require_expiration: true");
  EXPECT_EQ(verdict(bearer(ann_token())), "401 Jwt verification fails");
  EXPECT_EQ(verdict(bearer(ann_token(R"("exp":1e12)"))), "ok");
}

TEST_F(JwtAuthn, TheKeyIsChosenByItsNameOrTried) {
  const JwtSigner one("ES256", "1");
  const JwtSigner two("ES256", "2");
  const JwtSigner nameless("ES256");
  configure(str("{ providers: { p: { issuer: i, local_jwks: { inline_string: '",
                jwks({&one, &two, &nameless}),
                "' } } }, rules: [ { match: { prefix: / }, requires: { provider_name: p } } ] }"));
  const std::string payload = R"({"iss":"i"})";
  EXPECT_EQ(verdict(bearer(one.token(payload))), "ok");
  EXPECT_EQ(verdict(bearer(two.token(payload))), "ok");
  EXPECT_EQ(verdict(bearer(two.sign(R"({"alg":"ES256"})", payload))), "ok") << "all are tried";
  EXPECT_EQ(verdict(bearer(two.sign(R"({"alg":"ES256","kid":"1"})", payload))),
            "401 Jwt verification fails");
  EXPECT_EQ(verdict(bearer(nameless.sign(R"({"alg":"ES256","kid":"9"})", payload))), "ok");
}

// Or each request could make us work for hundreds of keys.
TEST_F(JwtAuthn, OneTokenIsHeldAgainst16KeysAtMost) {
  std::vector<std::unique_ptr<const JwtSigner>> keys;
  std::string set;
  for (int i = 0; i < 17; ++i) {
    keys.push_back(std::make_unique<const JwtSigner>("ES256", str("k", i)));
    set += str(i == 0 ? "" : ",", keys.back()->jwk());
  }
  configure(
      str("{ providers: { p: { issuer: i, local_jwks: { inline_string: '{\"keys\":[", set,
          "]}' } } }, rules: [ { match: { prefix: / }, requires: { provider_name: p } } ] }"));
  const std::string payload = R"({"iss":"i"})";
  const std::string_view nameless = R"({"alg":"ES256"})";
  EXPECT_EQ(verdict(bearer(keys[15]->sign(nameless, payload))), "ok");
  EXPECT_EQ(verdict(bearer(keys[16]->sign(nameless, payload))), "401 Jwt verification fails");
  EXPECT_EQ(verdict(bearer(keys[16]->token(payload))), "ok") << "its key is named";
}

TEST_F(JwtAuthn, EachAlgorithmIsSupported) {
  for (const char* alg :
       {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}) {
    const JwtSigner signer(alg);
    configure(str("{ providers: { ", provider("p", "i", signer),
                  " }, rules: [ { match: { prefix: / }, requires: { provider_name: p } } ] }"));
    EXPECT_EQ(verdict(bearer(signer.token(R"({"iss":"i"})"))), "ok") << alg;
    EXPECT_EQ(verdict(bearer(signer.token(R"({"iss":"j"})"))), "401 Jwt issuer is not configured");
  }
  const std::string token = bob().token(R"({"iss":"bob"})");
  configure(str("{ providers: { ", provider("p", "bob", bob()),
                " }, rules: [ { match: { prefix: / }, requires: { provider_name: p } } ] }"));
  EXPECT_EQ(verdict(bearer(token.substr(0, token.rfind('.') + 5))),
            "401 Jwt ED25519 signature is wrong length");
}

// ---- where tokens are ----

TEST_F(JwtAuthn, FindsTokensWhereTheyMayBe) {
  configure_ann(
      "from_headers: [ { name: X-Token }, { name: authorization, value_prefix: 'Token ' } ], "
      "from_params: [ t ], from_cookies: [ c ]");
  const std::string good = ann_token();
  const Fields found[] = {
      {{"x-token", good}},
      {{"authorization", "Token " + good}},
      {{"authorization", "Token  \"" + good}},  // up to the first character of a token
      {{"authorization", "who knows, Token " + good}},
      {{"authorization", "token " + good}},  // a scheme has no case (RFC 9110, 11.1)
      {{"authorization", "TOKEN\t" + good}},
      {{"authorization", "Token \t " + good}},
      {{"authorization", "Tokens token " + good}},
      {{":path", "/?a=b&t=" + good + "&c=d"}},
      {{":path", "/?%74=" + good}},
      {{"cookie", "a=b; c=" + good}},
      {{"cookie", "c=\"" + good + "\""}},
      {{"cookie", "a=b"}, {"cookie", "c=" + good}},
      {{"cookie", "a=b; c =" + good}},
      {{"cookie", "a=b;\tc\t=" + good}},
  };
  for (const Fields& fields : found) EXPECT_EQ(verdict(fields), "ok") << fields[0].second;
  const Fields not_found[] = {
      {{"authorization", "Bearer " + good}},
      {{"authorization", "Token" + good}},
      {{"authorization", "Tok " + good}},
      {{":path", "/?access_token=" + good}},
      {{":path", "/t=" + good}},
      {{"cookie", "cc=" + good}},
  };
  for (const Fields& fields : not_found)
    EXPECT_EQ(verdict(fields), "401 Jwt is missing") << fields[0].second;
}

// Only behind a word of its own: another prefix is a text as any other.
TEST_F(JwtAuthn, APrefixThatIsNoWordIsFoundAsItIsWritten) {
  configure_ann("from_headers: [ { name: x-token, value_prefix: 'v=' } ]");
  EXPECT_EQ(verdict({{"x-token", "v=" + ann_token()}}), "ok");
  EXPECT_EQ(verdict({{"x-token", "V=" + ann_token()}}), "401 Jwt is missing");
}

// Servers read them, too.
TEST_F(JwtAuthn, NoSpellingOfItsSchemeHidesABadToken) {
  configure_ann("",
                "requires_any: { requirements: [ { provider_name: p }, { allow_missing: {} } ] }");
  const std::string bad = ann_token(R"("exp":1)");
  for (const std::string_view scheme :
       {"Bearer ", "bearer ", "BEARER ", "Bearer\t", "bEARER  \t "}) {
    EXPECT_EQ(verdict({{"authorization", str(scheme, bad)}}), "401 Jwt is expired") << scheme;
    EXPECT_EQ(verdict({{"authorization", str(scheme, ann_token())}}), "ok") << scheme;
  }
}

TEST_F(JwtAuthn, EveryTokenOfARequestMustBeGood) {
  // The application may read the other one.
  configure_ann();
  const std::string good = ann_token();
  const std::string bad = ann_token(R"("exp":1)");
  EXPECT_EQ(verdict({{"authorization", "Bearer " + good}, {"authorization", "Bearer " + bad}}),
            "401 Jwt is expired");
  EXPECT_EQ(verdict({{"authorization", "Bearer " + bad}, {"authorization", "Bearer " + good}}),
            "401 Jwt is expired");
  EXPECT_EQ(verdict({{"authorization", "Bearer " + good}, {":path", "/?access_token=" + bad}}),
            "401 Jwt is expired");
  EXPECT_EQ(verdict({{":path", str("/?access_token=", good, "&access_token=", bad)}}),
            "401 Jwt is expired");
  Fields many;
  for (int i = 0; i < 9; ++i) many.emplace_back("authorization", "Bearer " + good);
  EXPECT_EQ(verdict(many), "401 Found multiple Jwt tokens");
  many.pop_back();
  EXPECT_EQ(verdict(many), "ok");
}

TEST_F(JwtAuthn, OfAQueryOnlyTheTokenGoes) {
  configure_ann();
  const std::string good = ann_token();
  const std::pair<std::string, std::string> cases[] = {
      {"/?access_token=" + good, "/"},
      {"/x?a=%20b&access_token=" + good + "&c", "/x?a=%20b&c"},
      {str("/x?access_token=", good, "&access%5Ftoken=", good, "&d=e"), "/x?d=e"},
  };
  for (const auto& [path, left] : cases) {
    Exchange& e = exchange({{":path", path}});
    EXPECT_TRUE(e.passed) << path;
    EXPECT_EQ(e.head.path, left);
  }
  configure_ann("forward: true");
  Exchange& kept = exchange({{":path", cases[0].first}});
  EXPECT_TRUE(kept.passed);
  EXPECT_EQ(kept.head.path, cases[0].first);
}

// ---- what tokens do ----

TEST_F(JwtAuthn, ClaimsBecomeHeadersAndAreNotForged) {
  configure_ann(
      "forward: true, claim_to_headers: [ { header_name: X-Sub, claim_name: sub }, "
      "{ header_name: x-deep, claim_name: a.b.c }, { header_name: x-dots, claim_path: [ { key: "
      "d.e } ] }, { header_name: x-number, claim_name: n }, { header_name: x-float, claim_name: f "
      "}, { header_name: x-bool, claim_name: t }, { header_name: x-list, claim_name: l } ], "
      "forward_payload_header: x-payload");
  const std::string token =
      ann_token(R"("a":{"b":{"c":"deep"}},"d.e":"dots","n":42,"f":-1.5,"t":true,"l":[1])");
  Fields fields = bearer(token);
  for (const char* name : {"x-sub", "x-deep", "x-number", "x-list", "x-payload"})
    fields.emplace_back(name, "forged");
  Exchange& e = exchange(fields);
  ASSERT_TRUE(e.passed);
  EXPECT_EQ(e.header("x-sub"), "x");
  EXPECT_EQ(e.header("x-deep"), "deep");
  EXPECT_EQ(e.header("x-dots"), "dots");
  EXPECT_EQ(e.header("x-number"), "42");
  EXPECT_EQ(e.header("x-float"), "-1.500000");
  EXPECT_EQ(e.header("x-bool"), "true");
  EXPECT_EQ(e.header("x-list"), "WzFd");  // [1]
  EXPECT_EQ(e.header("x-payload"),
            token.substr(token.find('.') + 1, token.rfind('.') - token.find('.') - 1));
  EXPECT_EQ(e.header("authorization"), "Bearer " + token);
}

TEST_F(JwtAuthn, NoClaimBreaksOutOfItsHeader) {
  configure_ann("claim_to_headers: [ { header_name: x-sub, claim_name: v } ]");
  for (const char* value :
       {R"(a\r\nx-admin: 1)", R"(a\u0000b)", R"(a\u0001)", R"( a)", R"(a )", R"(a\u007f)"}) {
    Exchange& e = exchange(bearer(ann_token(str(R"("v":")", value, '"'))));
    EXPECT_TRUE(e.passed) << value;
    EXPECT_EQ(e.header("x-sub"), "") << value;
  }
}

TEST_F(JwtAuthn, RequestsWithoutATokenCannotForgeHeadersEither) {
  configure(str(
      "{ providers: { ",
      provider("p", "ann", ann(), "claim_to_headers: [ { header_name: x-sub, claim_name: sub } ]"),
      ", ", provider("q", "bob", bob(), "forward_payload_header: x-payload"),
      " }, rules: [ { match: { prefix: /free } }, { match: { prefix: /any }, requires: { "
      "allow_missing_or_failed: {} } }, { match: { prefix: /p }, requires: { "
      "provider_name: p } } ], bypass_cors_preflight: true }"));
  for (const char* path : {"/free", "/any", "/other"}) {
    Exchange& e = exchange({{":path", path}, {"x-sub", "forged"}, {"x-payload", "forged"}});
    EXPECT_TRUE(e.passed) << path;
    EXPECT_EQ(e.header("x-sub"), "") << path;
    EXPECT_EQ(e.header("x-payload"), "") << path;
  }
  // Nor those of the provider that was not asked.
  Fields fields = bearer(ann_token());
  fields.emplace_back(":path", "/p");
  fields.emplace_back("x-payload", "forged");
  Exchange& e = exchange(fields);
  EXPECT_TRUE(e.passed);
  EXPECT_EQ(e.header("x-payload"), "");
}

TEST_F(JwtAuthn, PayloadsCanBePadded) {
  configure_ann("forward_payload_header: x-payload, pad_forward_payload_header: true");
  for (const char* claim : {R"("v":"1")", R"("v":"12")", R"("v":"123")"}) {
    Exchange& e = exchange(bearer(ann_token(claim)));
    EXPECT_EQ(e.header("x-payload").size() % 4, 0u);
    EXPECT_TRUE(e.passed);
  }
}

TEST_F(JwtAuthn, ClaimsBecomeMetadataForPolicies) {
  configure_ann(
      "payload_in_metadata: pay, header_in_metadata: head, failed_status_in_metadata: why, "
      "normalize_payload_in_metadata: { space_delimited_claims: [ scope ] }");
  Exchange& e = exchange(bearer(ann_token(R"("scope":"read  write","level":3)")));
  ASSERT_TRUE(e.passed);
  const auto text = [&e](std::vector<std::string> path) {
    const core::MetadataValue* value = e.info().metadata.find("envoy.filters.http.jwt_authn", path);
    std::string out;
    if (value != nullptr) core::append_text(out, *value);
    return out;
  };
  EXPECT_EQ(text({"pay", "iss"}), "ann");
  EXPECT_EQ(text({"pay", "scope"}), R"(["read","write"])");
  EXPECT_EQ(text({"pay", "level"}), "3");
  EXPECT_EQ(text({"head", "alg"}), "ES256");
  EXPECT_EQ(text({"why"}), "");
  Exchange& failed = exchange(bearer(ann_token(R"("exp":1)")));
  const core::MetadataValue* why =
      failed.info().metadata.find("envoy.filters.http.jwt_authn", std::vector<std::string>{"why"});
  ASSERT_NE(why, nullptr);
  std::string reason;
  core::append_text(reason, *why);
  EXPECT_EQ(reason, R"({"code":"3","message":"Jwt is expired"})");
}

// ---- requirements ----

class JwtRequirements : public JwtAuthn {
 protected:
  void require(std::string_view requirement) {
    configure(str(
        "{ providers: { ", provider("p", "ann", ann(), "from_headers: [ { name: x-ann } ]"), ", ",
        provider("q", "bob", bob(), "from_headers: [ { name: x-bob } ], audiences: [ b ]"),
        " }, rules: [ { match: { prefix: / }, requires: { ", requirement, " } } ] }"));
  }
  const std::string good_ann_ = ann_token();
  const std::string bad_ann_ = ann_token(R"("exp":1)");
  const std::string good_bob_ = bob().token(R"({"iss":"bob","aud":"b"})");
  const std::string other_bob_ = bob().token(R"({"iss":"bob","aud":"c"})");
};

TEST_F(JwtRequirements, AreAnAlgebra) {
  struct Case {
    std::string_view requirement;
    Fields fields;
    std::string_view verdict;
  };
  const std::string_view any =
      "requires_any: { requirements: [ { provider_name: p }, { "
      "provider_name: q } ] }";
  const std::string_view all =
      "requires_all: { requirements: [ { provider_name: p }, { "
      "provider_name: q } ] }";
  const std::string_view optional =
      "requires_any: { requirements: [ { provider_name: p }, { "
      "allow_missing: {} } ] }";
  const std::string_view lax =
      "requires_any: { requirements: [ { provider_name: p }, { "
      "allow_missing_or_failed: {} } ] }";
  const std::string_view nested =
      "requires_all: { requirements: [ { provider_name: p }, { requires_any: { requirements: [ { "
      "provider_name: q }, { allow_missing: {} } ] } } ] }";
  const std::string_view all_or_none =
      "requires_any: { requirements: [ { requires_all: { requirements: [ { provider_name: p }, { "
      "provider_name: q } ] } }, { allow_missing: {} } ] }";
  const Fields ann{{"x-ann", good_ann_}};
  const Fields bad{{"x-ann", bad_ann_}};
  const Fields bob_only{{"x-bob", good_bob_}};
  const Fields other{{"x-bob", other_bob_}};
  const Fields both{{"x-ann", good_ann_}, {"x-bob", good_bob_}};
  const Fields half{{"x-ann", good_ann_}, {"x-bob", other_bob_}};
  const Fields bad_and_bob{{"x-ann", bad_ann_}, {"x-bob", good_bob_}};
  const Fields foreign{{"x-ann", good_bob_}};
  const Case cases[] = {
      {any, {}, "401 Jwt is missing"},
      {any, ann, "ok"},
      {any, bob_only, "ok"},
      {any, bad, "401 Jwt is expired"},
      {any, bad_and_bob, "ok"},
      {any, other, "403 Audiences in Jwt are not allowed"},
      {any, foreign, "401 Jwt issuer is not configured"},
      {all, {}, "401 Jwt is missing"},
      {all, ann, "401 Jwt is missing"},
      {all, both, "ok"},
      {all, half, "403 Audiences in Jwt are not allowed"},
      {all, bad_and_bob, "401 Jwt is expired"},
      {all, other, "403 Audiences in Jwt are not allowed"},
      {all_or_none, {}, "ok"},
      {all_or_none, both, "ok"},
      {all_or_none, ann, "ok"},
      {all_or_none, bob_only, "ok"},
      // The one that is missing does not excuse the one that is bad.
      {all_or_none, other, "403 Audiences in Jwt are not allowed"},
      {all_or_none, {{"x-bob", good_ann_}}, "401 Jwt issuer is not configured"},
      {all_or_none, bad, "401 Jwt is expired"},
      {all_or_none, half, "403 Audiences in Jwt are not allowed"},
      {optional, {}, "ok"},
      {optional, ann, "ok"},
      {optional, bad, "401 Jwt is expired"},
      // CVE-2021-21378: a token of another issuer was as good as none.
      {optional, foreign, "401 Jwt issuer is not configured"},
      {lax, {}, "ok"},
      {lax, bad, "ok"},
      {lax, foreign, "ok"},
      {nested, {}, "401 Jwt is missing"},
      {nested, ann, "ok"},
      {nested, both, "ok"},
      {nested, half, "403 Audiences in Jwt are not allowed"},
      {"allow_missing: {}", {}, "ok"},
      {"allow_missing: {}", both, "ok"},
      {"allow_missing: {}", bad, "401 Jwt is expired"},
      {"allow_missing: {}", bad_and_bob, "401 Jwt is expired"},
      {"allow_missing: {}", half, "403 Audiences in Jwt are not allowed"},
      {"allow_missing_or_failed: {}", half, "ok"},
      {"allow_missing_or_failed: {}", foreign, "ok"},
      {"requires_any: { requirements: [ { allow_missing: {} }, { allow_missing: {} } ] }", bad,
       "401 Jwt is expired"},
      {"requires_any: { requirements: [ { allow_missing: {} }, { allow_missing_or_failed: {} } ] }",
       bad, "ok"},
      {"provider_and_audiences: { provider_name: q, audiences: [ c ] }", other, "ok"},
      {"provider_and_audiences: { provider_name: q, audiences: [ c ] }", bob_only,
       "403 Audiences in Jwt are not allowed"},
      {"provider_and_audiences: { provider_name: q }", bob_only, "ok"},
      {"provider_and_audiences: { provider_name: q }", other,
       "403 Audiences in Jwt are not allowed"},
  };
  for (const Case& c : cases) {
    require(c.requirement);
    EXPECT_EQ(verdict(c.fields), c.verdict)
        << c.requirement << " of " << (c.fields.empty() ? "nothing" : c.fields[0].first);
  }
}

TEST_F(JwtRequirements, OneTokenServesOneProviderOfAll) {
  // It is taken away by the first, as in Envoy.
  configure(
      str("{ providers: { ", provider("p", "ann", ann()), ", ", provider("q", "ann", ann()),
          " }, rules: [ { match: { prefix: / }, requires: { requires_all: { requirements: [ { "
          "provider_name: p }, { provider_name: q } ] } } } ] }"));
  EXPECT_EQ(verdict(bearer(good_ann_)), "401 Jwt is missing");
}

TEST_F(JwtAuthn, PreflightsCarryNoCredentials) {
  configure_ann("", "provider_name: p", "bypass_cors_preflight: true");
  const auto preflight = [&](std::string_view method, const Fields& fields) {
    Exchange e(worker, *chain_, states_, route::RouteMatch{}, connection, fields);
    e.head.method = http::find_method(method);
    e.head.method_text = "OPTIONS";
    e.begin();
    return e.passed;
  };
  const Fields full{{"origin", "http://b"}, {"access-control-request-method", "GET"}};
  EXPECT_TRUE(preflight("OPTIONS", full));
  EXPECT_FALSE(preflight("GET", full));
  EXPECT_FALSE(preflight("OPTIONS", {full[0]}));
  EXPECT_FALSE(preflight("OPTIONS", {full[1]}));
  EXPECT_EQ(stats<stats::JwtAuthnStats>("web").cors_preflight_bypassed.value(), 1u);
}

// ---- cache ----

TEST_F(JwtAuthn, TokensThatWereVerifiedAreKept) {
  configure_ann(
      "jwt_cache_config: { jwt_cache_size: 2 }, claim_to_headers: [ { header_name: "
      "x-v, claim_name: v } ]");
  auto& counters = stats<stats::JwtAuthnStats>("web");
  const auto token = [](int n) { return ann_token(str(R"("v":)", n)); };
  for (int i = 0; i < 3; ++i) {
    Exchange& e = exchange(bearer(token(1)));
    EXPECT_EQ(e.header("x-v"), "1");
    EXPECT_TRUE(e.passed);
  }
  // ES256 signs anew each time: another text is another token.
  EXPECT_EQ(counters.jwt_cache_hit.value(), 0u);
  const std::string one = token(1);
  const std::string two = token(2);
  const std::string three = token(3);
  EXPECT_EQ(verdict(bearer(one)), "ok");
  EXPECT_EQ(verdict(bearer(one)), "ok");
  EXPECT_EQ(counters.jwt_cache_hit.value(), 1u);
  EXPECT_EQ(verdict(bearer(two)), "ok");
  EXPECT_EQ(verdict(bearer(one)), "ok");
  EXPECT_EQ(verdict(bearer(three)), "ok");  // takes two's place
  EXPECT_EQ(counters.jwt_cache_hit.value(), 2u);
  EXPECT_EQ(verdict(bearer(one)), "ok");
  EXPECT_EQ(verdict(bearer(two)), "ok");
  EXPECT_EQ(counters.jwt_cache_hit.value(), 3u);
  // A bad one is never kept, and one that is changed is not the one that was kept.
  for (int i = 0; i < 2; ++i) {
    std::string bad = one;
    bad.back() = bad.back() == 'A' ? 'Q' : 'A';
    EXPECT_NE(verdict(bearer(bad)), "ok");
  }
  EXPECT_EQ(counters.jwt_cache_hit.value(), 3u);
}

// ---- remote keys ----

class JwtRemoteKeys : public JwtAuthn {
 protected:
  void configure_remote(std::string_view timeout = "10s", std::string_view more = {}) {
    configure(
        str("{ providers: { p: { issuer: ann, remote_jwks: { http_uri: { uri: "
            "'http://issuer/keys', cluster: issuer, timeout: ",
            timeout, " } }", more,
            " } }, rules: [ { match: { prefix: / }, requires: { "
            "provider_name: p } } ] }"));
    document_ = chain_->entries()[0].factory->documents().at(0);
  }
  void publish(const JwtSigner& signer) {
    EXPECT_TRUE(document_->publish(jwks({&signer})));
    worker.context.document_waiters.wake();
  }
  std::shared_ptr<core::SharedDocument> document_;
};

TEST_F(JwtRemoteKeys, AreWhereTheConfigurationSays) {
  configure_remote();
  EXPECT_EQ(document_->source().cluster, "issuer");
  EXPECT_EQ(document_->source().authority, "issuer");
  EXPECT_EQ(document_->source().path, "/keys");
  EXPECT_EQ(document_->source().refresh, seconds(595));
}

TEST_F(JwtRemoteKeys, ARequestThatLacksOnlyThemWaits) {
  configure_remote();
  Exchange& good = exchange(bearer(ann_token()));
  Exchange& other = exchange(bearer(JwtSigner("ES256", "a").token(R"({"iss":"ann"})")));
  EXPECT_FALSE(good.passed);
  EXPECT_EQ(good.status, 0);
  EXPECT_EQ(exchange().reply_body, "Jwt is missing");
  EXPECT_EQ(exchange(bearer(ann_token(R"("exp":1)"))).reply_body, "Jwt is expired");
  EXPECT_EQ(exchange(bearer("a.b.c")).status, 401);
  publish(ann());
  EXPECT_TRUE(good.passed);
  EXPECT_EQ(other.reply_body, "Jwt verification fails");
  EXPECT_TRUE(exchange(bearer(ann_token())).passed);
}

TEST_F(JwtRemoteKeys, ThatCannotBeHadAreARefusal) {
  configure_remote();
  Exchange& waits = exchange(bearer(ann_token()));
  document_->fail();
  worker.context.document_waiters.wake();
  EXPECT_EQ(waits.reply_body, "Jwks remote fetch is failed");
  EXPECT_EQ(exchange(bearer(ann_token())).reply_body, "Jwks remote fetch is failed");
  publish(ann());
  EXPECT_TRUE(exchange(bearer(ann_token())).passed);
  document_->fail();
  EXPECT_TRUE(exchange(bearer(ann_token())).passed) << "the last good ones stay";
}

TEST_F(JwtRemoteKeys, AreNotWaitedForForEver) {
  configure_remote("0.05s");
  Exchange& waits = exchange(bearer(ann_token()));
  while (waits.status == 0) worker.loop.run_once(true);
  EXPECT_EQ(waits.reply_body, "Jwks remote fetch is failed");
}

TEST_F(JwtRemoteKeys, AStreamThatEndsWaitsNoMore) {
  configure_remote();
  Exchange& e = exchange(bearer(ann_token()));
  e.end();
  publish(ann());
  EXPECT_FALSE(e.passed);
  EXPECT_EQ(e.status, 0);
}

TEST_F(JwtRemoteKeys, ThatAreReplacedTakeTheTokensThatTheyVerifiedWithThem) {
  configure_remote("10s", ", jwt_cache_config: {}");
  publish(ann());
  const std::string token = ann_token();
  EXPECT_TRUE(exchange(bearer(token)).passed);
  EXPECT_TRUE(exchange(bearer(token)).passed);
  EXPECT_EQ(stats<stats::JwtAuthnStats>("web").jwt_cache_hit.value(), 1u);
  publish(bob());
  EXPECT_FALSE(exchange(bearer(token)).passed);
}

// ---- configuration ----

TEST_F(JwtAuthn, WrongConfigurationsAreNamed) {
  const auto of_provider = [](std::string_view text) {
    return str("{ providers: { p: { ", text, " } } }");
  };
  const std::pair<std::string, std::string_view> cases[] = {
      {of_provider("issuer: a"), "f:1:19: providers.p: expected one of local_jwks, remote_jwks"},
      {of_provider("local_jwks: { inline_string: '{}' }"), "Jwks does not have [keys] field"},
      {of_provider("remote_jwks: { http_uri: { uri: issuer/keys, cluster: c, timeout: 1s } }"),
       "expected a URL such as https://issuer.example/path"},
      {of_provider("remote_jwks: { http_uri: { uri: 'http://a/', cluster: c, timeout: 1s }, "
                   "cache_duration: 0s }"),
       "expected a duration of at least 1ms"},
      {of_provider(str("local_jwks: { inline_string: '", jwks({&ann()}),
                       "' }, claim_to_headers: [ { header_name: ':path', claim_name: a } ]")),
       "expected the name of a header"},
      {of_provider(str("local_jwks: { inline_string: '", jwks({&ann()}), "' }, isuer: a")),
       "unknown field"},
      {"{ rules: [ { match: { prefix: / }, requires: { provider_name: p } } ] }",
       "unknown provider \"p\""},
      {"{ rules: [ { match: { prefix: / }, requirement_name: p } ] }", "unknown requirement \"p\""},
      {"{ rules: [ { match: { prefix: / }, requires: { requires_any: { requirements: [ { "
       "allow_missing: {} } ] } } } ] }",
       "expected at least two requirements"},
      {"{ rules: [ { match: { prefix: / }, requires: { extract_only_without_validation: {} } } ] }",
       "it would trust tokens that anybody can make"},
  };
  for (const auto& [config, error] : cases)
    EXPECT_NE(errors_of(config).find(error), std::string::npos) << config << "\n"
                                                                << errors_of(config);
  EXPECT_NE(errors_of_route("{ disabled: false }").find("expected true"), std::string::npos);
  EXPECT_NE(errors_of_route("{}").find("expected one of"), std::string::npos);
}

}  // namespace
}  // namespace pillion::filters
