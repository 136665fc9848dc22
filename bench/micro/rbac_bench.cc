// A verdict of RBAC: 1,000 policies, each for one principal and one path, as a control plane writes
// them for a large mesh; the last of them matches.  Then the same number of policies that no index
// can tell apart, which are looked at one after the other: what a prefix or a negation costs.

#include <benchmark/benchmark.h>

#include <string>

#include "filters/rbac/engine.h"
#include "proxy/base/str.h"
#include "proxy/config/loader.h"
#include "proxy/io/peer_certificate.h"

namespace pillion::filters::rbac {
namespace {

std::string policies(int count, std::string_view path_kind, std::string_view name_kind) {
  std::string yaml = "{ rules: { policies: {";
  for (int i = 0; i < count; ++i) {
    yaml += str(i == 0 ? " p" : ", p", 10000 + i,
                ": { permissions: [ { and_rules: { rules: [ { header: { ",
                "name: ':method', string_match: { exact: GET } } }, { url_path: { path: { ",
                path_kind, ": /service/", 10000 + i,
                "/users } } } ] } } ], principals: [ { authenticated: { ", "principal_name: { ",
                name_kind, ": 'spiffe://mesh.local/ns/shop/sa/s", 10000 + i, "' } } } ] }");
  }
  return yaml + " } } }";
}

void judge(benchmark::State& state, std::string_view path_kind, std::string_view name_kind) {
  const auto count = static_cast<int>(state.range(0));
  config::Errors errors;
  const config::DocumentPtr document =
      config::load_text(policies(count, path_kind, name_kind), "f", errors);
  const auto engine = Engine::parse(document->root(errors)["rules"], {}, Scope::kRequest);
  if (!errors.ok()) return state.SkipWithError(errors.to_string().c_str());
  const std::string path = str("/service/", 10000 + count - 1, "/users");
  io::PeerCertificate certificate;
  certificate.uri_sans = {str("spiffe://mesh.local/ns/shop/sa/s", 10000 + count - 1)};
  io::PeerIdentity peer;
  peer.certificate = &certificate;
  peer.verified = true;
  core::ConnectionInfo connection;
  connection.identity = &peer;
  Arena arena;
  http::RequestHead head(arena);
  head.method_text = "GET";
  head.path = path;
  const Facts facts{connection, &head, path, {}, nullptr};
  for (auto _ : state) {
    const Verdict verdict = engine->judge(facts);
    if (!verdict.allowed) return state.SkipWithError("denied");
    benchmark::DoNotOptimize(verdict);
  }
}

void BM_RbacExactPath(benchmark::State& state) { judge(state, "exact", "exact"); }
BENCHMARK(BM_RbacExactPath)->Arg(1)->Arg(10)->Arg(100)->Arg(1000);

void BM_RbacExactPrincipal(benchmark::State& state) { judge(state, "prefix", "exact"); }
BENCHMARK(BM_RbacExactPrincipal)->Arg(1000);

void BM_RbacNoIndex(benchmark::State& state) { judge(state, "prefix", "prefix"); }
BENCHMARK(BM_RbacNoIndex)->Arg(10)->Arg(1000);

}  // namespace
}  // namespace pillion::filters::rbac
