// Metadata of endpoints: what of it counts, and what is left out.
#include "proxy/upstream/transport_labels.h"
#include "tests/unit/upstream/fixture.h"

namespace pillion::upstream {
namespace {

constexpr std::string_view kAddress =
    "endpoint: { address: { socket_address: { address: 10.0.0.1, port_value: 80 } } }";

std::string metadata(std::string_view labels) {
  return str("metadata: { filter_metadata: { envoy.transport_socket_match: ", labels, " } }");
}

struct Parsed {
  HostSet hosts;
  std::string messages;
  std::string warnings;
  config::UnknownFieldMap left_out;
};

// An assignment of EDS with one locality.
Parsed parsed(std::string_view endpoint_fields, std::string_view locality_fields = "priority: 0",
              config::UnknownFields policy = config::UnknownFields::kCount) {
  config::Errors errors(policy);
  const auto document = config::load_text(str("{ endpoints: [ { lb_endpoints: [ { ", kAddress, ", ",
                                              endpoint_fields, " } ], ", locality_fields, " } ] }"),
                                          "eds", errors);
  Parsed out;
  out.hosts = *make_host_set(parse_assignment(document->root(errors)), nullptr);
  out.messages = errors.to_string();
  out.warnings = errors.to_string(config::Severity::kWarning);
  out.left_out = errors.unknown_fields();
  return out;
}

TEST(EndpointMetadata, HasTheLabelsOfTheTransportSocket) {
  const Parsed one = parsed(metadata("{ tlsMode: istio, n: 1 }"));
  EXPECT_EQ(one.messages, "");
  EXPECT_TRUE(one.left_out.empty());
  ASSERT_EQ(one.hosts.hosts.size(), 1u);
  const TransportLabelsPtr labels = one.hosts.hosts[0]->like().transport;
  ASSERT_NE(labels, nullptr);
  EXPECT_EQ(labels->own, (LabelSet{{"n", "1"}, {"tlsMode", "\"istio\""}}));
  EXPECT_TRUE(labels->of_locality.empty());
  EXPECT_EQ(parsed(metadata("{ n: 1.0, tlsMode: 'istio' }")).hosts.hosts[0]->like().transport,
            labels)
      << "one object for all that say the same";
  EXPECT_EQ(parsed("load_balancing_weight: 1").hosts.hosts[0]->like().transport, nullptr);
  EXPECT_EQ(parsed(metadata("{}")).hosts.hosts[0]->like().transport, nullptr);
}

TEST(EndpointMetadata, OfALocalityIsKeptBesideThatOfTheEndpoint) {
  const Parsed one = parsed(metadata("{ a: 1 }"), metadata("{ a: 2, b: 3 }"));
  const TransportLabelsPtr labels = one.hosts.hosts[0]->like().transport;
  ASSERT_NE(labels, nullptr);
  EXPECT_EQ(labels->own, (LabelSet{{"a", "1"}}));
  EXPECT_EQ(labels->of_locality, (LabelSet{{"a", "2"}, {"b", "3"}}));
}

TEST(EndpointMetadata, OfOthersIsLeftOutAndCounted) {
  const std::string both =
      "metadata: { filter_metadata: { istio: { workload: a }, "
      "envoy.lb: { version: v1 } } }";
  const Parsed one = parsed(both);
  EXPECT_EQ(one.messages, "");
  EXPECT_EQ(one.hosts.hosts[0]->like().transport, nullptr);
  ASSERT_EQ(one.left_out.size(), 1u) << "subsets cannot be had, so that their labels mean nothing";
  EXPECT_EQ(one.left_out.begin()->first, "filter_metadata[istio]");
  // A file says so too, and is accepted.
  const Parsed file = parsed(both, "priority: 0", config::UnknownFields::kError);
  EXPECT_EQ(file.hosts.hosts.size(), 1u);
  EXPECT_EQ(file.messages, "");
  EXPECT_NE(file.warnings.find("metadata for \"istio\" has no effect here"), std::string::npos)
      << file.warnings;
}

TEST(EndpointMetadata, ThatIsNoStructIsAnError) {
  EXPECT_EQ(parsed(metadata("[ 1 ]")).messages,
            "eds:1:179: endpoints[0].lb_endpoints[0].metadata.filter_metadata["
            "\"envoy.transport_socket_match\"]: expected a mapping, got a list\n");
}

TEST(EndpointMetadata, MakesAnotherHostWhenItsLabelsChange) {
  const auto set_of = [](std::string_view labels, const HostSetPtr& before) {
    Endpoints infos;
    for (const HostInfoPtr& host : parsed(metadata(labels)).hosts.hosts) {
      Endpoint& info = infos.emplace_back();
      static_cast<HostTraits&>(info) = host->like();
      info.address = host->address;
    }
    return make_host_set(infos, before);
  };
  const HostSetPtr first = set_of("{ tlsMode: istio }", nullptr);
  EXPECT_EQ(set_of("{ tlsMode: istio }", first), first);
  const HostSetPtr second = set_of("{ tlsMode: disabled }", first);
  ASSERT_EQ(second->hosts.size(), 1u);
  EXPECT_NE(second->hosts[0]->id, first->hosts[0]->id);
  first->hosts[0]->stats->of(0).rq_total.inc();
  EXPECT_EQ(second->hosts[0]->stats.sum().rq_total, 0U) << "they count for themselves";
  const HostChange change = compare(first.get(), *second);
  EXPECT_EQ(change.added.size(), 1u);
  EXPECT_EQ(change.removed.size(), 1u);
}

}  // namespace
}  // namespace pillion::upstream
