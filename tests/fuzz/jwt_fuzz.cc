// A token, as anybody may send it, of any form.  Whatever it is, one that is read can be read again
// from its own text, nobody's key makes it genuine, and what is left of it after a change is none.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "filters/jwt/token.h"
#include "proxy/base/base64.h"

using namespace pillion;
using pillion::filters::jwt::Token;
using JwtStatus = pillion::filters::jwt::Status;

namespace {

// RFC 7515, A.3 and RFC 8037, A.4: keys whose private halves nobody uses.
constexpr std::string_view kKeys = R"({"keys":[
  {"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
   "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
  {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"ed"}]})";

void check(bool holds) {
  if (!holds) std::abort();
}

void read(std::string_view text, const tls::JwkSet& keys) {
  Token token;
  if (token.parse(text) != JwtStatus::kOk) return;
  check(text.size() <= Token::kMaxText);
  check(token.header().is_object() && token.payload().is_object());
  Token again;
  check(again.parse(text) == JwtStatus::kOk && again.payload_text() == token.payload_text());
  check(decode_base64url(token.payload_text()).has_value());
  (void)token.verify(keys);
  (void)token.check_time(1'700'000'000, 60);
  (void)token.check_time(UINT64_MAX, UINT64_MAX);
  Token other;
  check(other.parse(std::string(text) + '=') != JwtStatus::kOk);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const tls::JwkSet keys = *tls::JwkSet::parse(kKeys);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read(text, keys);
  // The JSON of a token is behind base64url, where mutations do not get: give it one of its own.
  const size_t line = text.find('\n');
  if (line == text.npos) return 0;
  read(encode_base64url(text.substr(0, line)) + '.' + encode_base64url(text.substr(line + 1)) +
           ".AAAA",
       keys);
  return 0;
}
