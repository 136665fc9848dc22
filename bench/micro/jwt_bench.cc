// What a token costs: its form alone, with its signature (ES256, the example of RFC 7515, A.3), and
// when it is found in the cache.

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>

#include "filters/jwt/token.h"
#include "filters/jwt/token_cache.h"

namespace pillion::filters::jwt {
namespace {

constexpr std::string_view kKeys = R"({"keys":[{"kty":"EC","crv":"P-256",
  "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
  "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})";
constexpr std::string_view kToken =
    "eyJhbGciOiJFUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlf"
    "Q"
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

tls::JwkSetPtr keys() { return std::make_shared<const tls::JwkSet>(*tls::JwkSet::parse(kKeys)); }

void parse(benchmark::State& state) {
  for (auto _ : state) {
    Token token;
    benchmark::DoNotOptimize(token.parse(kToken));
  }
}
BENCHMARK(parse)->Name("jwt/parse");

void verify(benchmark::State& state) {
  const tls::JwkSetPtr set = keys();
  for (auto _ : state) {
    Token token;
    if (token.parse(kToken) != Status::kOk || token.verify(*set) != Status::kOk) std::abort();
  }
}
BENCHMARK(verify)->Name("jwt/parse and verify ES256");

void cached(benchmark::State& state) {
  const tls::JwkSetPtr set = keys();
  TokenCache cache;
  auto token = std::make_shared<Token>();
  if (token->parse(kToken) != Status::kOk) std::abort();
  cache.insert(tls::sha256(kToken), token, set, 100);
  for (auto _ : state) {
    const auto found = cache.find(tls::sha256(kToken), set.get());
    if (found == nullptr || found->check_time(1'300'000'000, 60) != Status::kOk) std::abort();
  }
}
BENCHMARK(cached)->Name("jwt/cached");

}  // namespace
}  // namespace pillion::filters::jwt
