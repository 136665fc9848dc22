// config.cluster.v3.Cluster: what chooses hosts, checks them or finds them by name is meant as it
// says, or refused.
#include "proxy/upstream/parse.h"
#include "tests/unit/upstream/fixture.h"

namespace pillion::upstream {
namespace {

// What would send requests to other hosts, or call hosts healthy that are not, is refused from a
// control plane too; what only tunes is left out.
TEST(ClusterParsing, RefusesFromAControlPlaneWhatChoosesOrChecksHosts) {
  constexpr const char* kCheck =
      "health_checks: [ { timeout: 1s, interval: 1s, unhealthy_threshold: 1, healthy_threshold: "
      "1, ";
  constexpr const char* kGroup = "load_assignment: { endpoints: [ { ";
  const struct {
    std::string yaml;
    const char* refused;  // its path
  } kCases[] = {
      {str(kCheck, "http_health_check: { path: /, receive: [ { text: '00' } ] } } ]"), "receive"},
      {str(kCheck, "http_health_check: { path: /, service_name_matcher: { exact: a } } } ]"),
       "service_name_matcher"},
      {str(kCheck, "http_health_check: { path: / }, alt_port: 1 } ]"), "alt_port"},
      {str(kGroup, "leds_cluster_locality_config: { leds_collection_name: a } } ] }"),
       "leds_cluster_locality_config"},
      {str(kGroup, "load_balancer_endpoints: {} } ] }"), "load_balancer_endpoints"},
      {str(kGroup, "lb_endpoints: [ { endpoint_name: a } ] } ] }"), "endpoint_name"},
      {"load_assignment: { named_endpoints: { a: {} } }", "named_endpoints"},
      {"load_assignment: { policy: { drop_overloads: [ { category: a } ] } }", "drop_overloads"},
      {str(kGroup, "lb_endpoints: [ { endpoint: { address: { pipe: { path: /p } }, ",
           "health_check_config: { address: { pipe: { path: /q } } } } } ] } ] }"),
       "health_check_config.address"},
      {"dns_resolvers: [ {} ]", "dns_resolvers"},
      {"dns_resolution_config: { resolvers: [ {} ] }", "dns_resolution_config.resolvers"},
  };
  for (const auto& c : kCases) {
    config::Errors errors(config::UnknownFields::kCount);
    const auto document = config::load_text(str("name: a\n", c.yaml), "cluster", errors);
    (void)parse_cluster(document->root(errors));
    EXPECT_NE(errors.to_string().find(str(c.refused, ": known to Envoy v3")), std::string::npos)
        << c.yaml << '\n'
        << errors.to_string();
  }
}

TEST(ClusterParsing, TakesALoadBalancingPolicyThatSaysWhatWeDo) {
  const auto with = [](std::string_view type, std::string_view fields = {}) {
    return str(
        "{ typed_extension_config: { name: p, typed_config: { '@type': "
        "type.googleapis.com/envoy.extensions.load_balancing_policies.",
        type, fields, " } } }");
  };
  const auto cluster = [](std::string_view policies) {
    return str("name: a\nlb_policy: RANDOM\nload_balancing_policy: { policies: [ ", policies,
               " ] }");
  };
  EXPECT_EQ(cluster_of(cluster(with("round_robin.v3.RoundRobin")))->balancer.group.policy,
            BalancePolicy::kRoundRobin)
      << "it comes before lb_policy";
  const auto least =
      cluster_of(cluster(with("least_request.v3.LeastRequest", ", choice_count: 3")));
  EXPECT_EQ(least->balancer.group.policy, BalancePolicy::kLeastRequest);
  EXPECT_EQ(least->balancer.group.choice_count, 3u);
  EXPECT_EQ(cluster_of(cluster(str(with("random.v3.Random"), ", ", with("maglev.v3.Maglev"))))
                ->balancer.group.policy,
            BalancePolicy::kRandom)
      << "the first counts";
  for (const std::string_view other : {"maglev.v3.Maglev", "ring_hash.v3.RingHash",
                                       "subset.v3.Subset", "cluster_provided.v3.ClusterProvided"})
    EXPECT_NE(messages_of(cluster(with(other))).find("is not supported by Pillion yet"),
              std::string::npos)
        << other;
  EXPECT_NE(messages_of(cluster("")).find("expected at least one policy"), std::string::npos);
  EXPECT_NE(messages_of("name: a\nlb_policy: LOAD_BALANCING_POLICY_CONFIG")
                .find("load_balancing_policy: required field is missing"),
            std::string::npos);
}

TEST(ClusterParsing, LeavesOutAResolverThatNamesNoServers) {
  constexpr const char* kResolver =
      "name: a\ntyped_dns_resolver_config: { name: r, typed_config: { '@type': "
      "type.googleapis.com/envoy.extensions.network.dns_resolver.";
  constexpr const char* kServers = "resolvers: [ { pipe: { path: /p } } ]";
  const auto errors = [&](std::string_view rest) {
    config::Errors list(config::UnknownFields::kCount);
    const auto document = config::load_text(str(kResolver, rest, " } }"), "cluster", list);
    (void)parse_cluster(document->root(list));
    return list.error_count() == 0 ? std::string() : list.to_string();
  };
  EXPECT_EQ(errors("cares.v3.CaresDnsResolverConfig, udp_max_queries: 100"), "");
  EXPECT_EQ(
      errors(str("cares.v3.CaresDnsResolverConfig, use_resolvers_as_fallback: true, ", kServers)),
      "");
  EXPECT_EQ(errors("getaddrinfo.v3.GetAddrInfoDnsResolverConfig"), "");
  EXPECT_NE(errors(str("cares.v3.CaresDnsResolverConfig, ", kServers)), "");
  EXPECT_NE(errors("hickory.v3.HickoryDnsResolverConfig"), "");
}

}  // namespace
}  // namespace pillion::upstream
