// Each field that a real istiod sends is served, ignored or refused, and that on purpose:
// tests/data/xds/istio_fields.tsv has them all, and what becomes of each.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "proxy/config/loader.h"
#include "tests/unit/builder/schema_text.h"
#include "xds/reflect.h"
#include "xds/value_json.h"

namespace pillion {
namespace {

using namespace testing;
using pb::FieldDescriptor;

constexpr size_t kCluster = 0, kListener = 2, kRoutes = 3;  // in roots()

struct Row {
  std::string verdict, message, path, value;
  std::string beside;  // fields of the resource that go with it
};

std::vector<Row> rows() {
  std::ifstream file(std::string(PILLION_SOURCE_DIR) + "/tests/data/xds/istio_fields.tsv");
  std::vector<Row> out;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.starts_with("#")) continue;
    Row row;
    size_t at = 0;
    for (std::string* column : {&row.verdict, &row.message, &row.path, &row.value, &row.beside}) {
      const size_t end = std::min(line.find('\t', at), line.size());
      *column = line.substr(at, end - at);
      at = std::min(end + 1, line.size());
    }
    out.push_back(std::move(row));
  }
  return out;
}

// "a[].b{x.y}.c" -> a, b, c: a step into a list or map is told by the field itself.
std::vector<std::string> tokens_of(std::string_view path) {
  std::vector<std::string> out(1);
  size_t depth = 0;
  for (const char c : path) {
    if (c == '{' || c == '[') ++depth;
    if (c == '.' && depth == 0) {
      out.emplace_back();
    } else if (depth == 0) {
      out.back() += c;
    }
    if (c == '}' || c == ']') --depth;
  }
  return out;
}

struct Place {
  std::string_view message;
  size_t root;
  std::string_view path;  // to the Any that holds the message
};
// Where messages that are no resources stand; those of filters in HTTP chains behind kManager.
constexpr std::string_view kManager =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
constexpr Place kPlaces[] = {
    {kManager, kListener, "filter_chains.filters.typed_config"},
    {"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", kListener,
     "filter_chains.filters.typed_config"},
    {"envoy.extensions.filters.network.rbac.v3.RBAC", kListener,
     "filter_chains.filters.typed_config"},
    {"envoy.extensions.filters.listener.original_src.v3.OriginalSrc", kListener,
     "listener_filters.typed_config"},
    {"envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector", kListener,
     "listener_filters.typed_config"},
    {"envoy.extensions.access_loggers.file.v3.FileAccessLog", kListener, "access_log.typed_config"},
    {"envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter", kListener,
     "access_log.filter.extension_filter.typed_config"},
    {"envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", kListener,
     "filter_chains.transport_socket.typed_config"},
    {"envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", kCluster,
     "transport_socket.typed_config"},
    {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions", kCluster,
     "typed_extension_protocol_options"},
    {"envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig", kCluster,
     "typed_dns_resolver_config.typed_config"},
    {"envoy.extensions.filters.http.cors.v3.CorsPolicy", kRoutes,
     "virtual_hosts.routes.typed_per_filter_config"},
};

const FieldDescriptor* field_in(const Way& way, const std::string& name) {
  const pb::Descriptor* type = end_of(way);
  return type == nullptr ? nullptr : type->FindFieldByName(name);
}

// False if the schema does not have it.
bool go(Way& way, std::string_view path, const pb::Descriptor* inside = nullptr) {
  const auto tokens = tokens_of(path);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const FieldDescriptor* field = field_in(way, tokens[i]);
    if (field == nullptr) return false;
    const bool is_last = i + 1 == tokens.size();
    way.steps.push_back(
        {field, is_last && inside != nullptr ? inside : content_of(field)->message_type()});
  }
  return true;
}

std::optional<Way> way_to(const std::string& message) {
  for (size_t root = 0; root < roots().size(); ++root)
    if (roots()[root].type == message) return Way{root, {}};
  const pb::Descriptor* type = xds::find_message(message);
  if (type == nullptr) return std::nullopt;
  for (const Place& place : kPlaces) {
    Way way{place.root, {}};
    if (place.message == message)
      return go(way, place.path, type) ? std::optional(way) : std::nullopt;
  }
  Way way{kListener, {}};
  const bool is_filter = message.starts_with("envoy.extensions.filters.http.");
  const bool is_request_id = message.starts_with("envoy.extensions.request_id.");
  if (!go(way, "filter_chains.filters.typed_config", xds::find_message(kManager)) ||
      !go(way,
          is_filter       ? "http_filters.typed_config"
          : is_request_id ? "request_id_extension.typed_config"
                          : "tracing.provider.typed_config",
          type))
    return std::nullopt;
  return way;
}

// The rest of a path inside of a google.protobuf.Struct.
std::string struct_text(const std::vector<std::string>& tokens, size_t at,
                        const std::string& value) {
  if (at == tokens.size()) return value;
  const std::string inner = struct_text(tokens, at + 1, value);
  return str("{", tokens[at], ": ", tokens[at] == "services" ? str("[", inner, "]") : inner, "}");
}

// "a.b{x.y}.c", b -> x.y
std::string key_in(std::string_view path, std::string_view name) {
  const size_t at = path.find(str(name, '{'));
  if (at == path.npos) return "k";
  const size_t begin = at + name.size() + 1;
  return std::string(path.substr(begin, path.find('}', begin) - begin));
}

std::string quoted(std::string text) {
  if (text.starts_with('"') || text.starts_with('{')) return text;
  return str('"', text, '"');
}

std::string value_text(const FieldDescriptor* field, const std::string& value) {
  if (value.starts_with('@')) {
    const pb::Descriptor* type = xds::find_message(std::string_view(value).substr(1));
    if (type == nullptr) return "null";
    const std::string content = sample_message(type).substr(1);
    return str("{'@type': 'type.googleapis.com/", value.substr(1), "', ", content);
  }
  const FieldDescriptor* content = content_of(field);
  if (value == "{}" && content->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
    return sample_single(content);
  if (content->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    std::string out = "'";
    for (const char c : value) out += c == '\'' ? "''" : std::string(1, c);
    return out + "'";
  }
  return content->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE ? quoted(value) : value;
}

// The resource that has the field; empty if the schema does not have it.
std::string resource_with(const Row& row, size_t& root) {
  std::optional<Way> way = way_to(row.message);
  if (!way) return {};
  root = way->root;
  const auto tokens = tokens_of(row.path);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const FieldDescriptor* field = field_in(*way, tokens[i]);
    if (field == nullptr) return {};
    const pb::Descriptor* inside = content_of(field)->message_type();
    const bool is_struct =
        inside != nullptr && inside->well_known_type() == pb::Descriptor::WELLKNOWNTYPE_STRUCT;
    if (i + 1 == tokens.size() || is_struct) {
      const std::string value =
          is_struct ? struct_text(tokens, i + 1, quoted(row.value)) : value_text(field, row.value);
      const std::string text = text_of(
          *way, field, field->name(),
          is_struct && field->is_map() ? str("{'", key_in(row.path, tokens[i]), "': ", value, "}")
                                       : in_container(field, value));
      return row.beside.empty() ? text : str("{", row.beside, ", ", text.substr(1));
    }
    way->steps.push_back({field, inside});
  }
  return {};
}

// From the text to the parser, as a control plane's resource goes.
std::string verdict_of(const Row& row, std::string& why) {
  size_t root = 0;
  const std::string text = resource_with(row, root);
  if (text.empty()) return "not in xds/proto";
  config::Errors of_text;
  const config::DocumentPtr written = config::load_text(text, "text", of_text);
  if (written == nullptr || !of_text.ok()) return why = of_text.to_string() + text, "no text";
  std::string json;
  xds::append_json(json, written->root_value());
  const Result<std::string> bytes = xds::encode(roots()[root].type, json);
  if (!bytes) return why = bytes.error() + "\n" + json, "not encoded";
  config::Errors errors(config::UnknownFields::kCount);
  const config::DocumentPtr document = xds::reflect(roots()[root].type, *bytes, "test", errors);
  if (document != nullptr && errors.ok()) roots()[root].parse(document->root(errors));
  why = errors.to_string();
  if (!errors.ok()) return "refused";
  for (const auto& [name, field] : errors.unknown_fields()) why += name + '\n';
  return errors.unknown_fields().empty() ? "served" : "ignored";
}

TEST(IstioFields, AreServedIgnoredOrRefusedOnPurpose) {
  const std::vector<Row> all = rows();
  EXPECT_GT(all.size(), 350u);
  for (const Row& row : all) {
    std::string why;
    const std::string verdict = verdict_of(row, why);
    EXPECT_EQ(verdict, row.verdict) << "ROW\t" << row.message << '\t' << row.path << '\t'
                                    << row.value << '\t' << verdict << "\n"
                                    << why;
  }
}

std::string problems_of(std::string_view json, size_t root) {
  const Result<std::string> bytes = xds::encode(roots()[root].type, json);
  if (!bytes) return bytes.error();
  config::Errors errors(config::UnknownFields::kCount);
  const config::DocumentPtr document = xds::reflect(roots()[root].type, *bytes, "test", errors);
  if (document != nullptr && errors.ok()) roots()[root].parse(document->root(errors));
  return errors.to_string();
}

// A cluster of the mesh as istiod sends it by default, with `filters`.
std::string cluster_of_mesh(std::string_view filters) {
  constexpr std::string_view kSds =
      R"("sds_config":{"api_config_source":{"api_type":"GRPC","grpc_services":[{"envoy_grpc":)"
      R"({"cluster_name":"sds-grpc"}}],"set_node_on_first_message_only":true,)"
      R"("transport_api_version":"V3"},"initial_fetch_timeout":"0s","resource_api_version":"V3"})";
  return str(
      R"({"name":"outbound|7000||users.retail.svc.cluster.local","type":"EDS","eds_cluster_config":)"
      R"({"eds_config":{"ads":{},"initial_fetch_timeout":"0s","resource_api_version":"V3"},)"
      R"("service_name":"outbound|7000||users.retail.svc.cluster.local"},"connect_timeout":"10s",)"
      R"("lb_policy":"LEAST_REQUEST","circuit_breakers":{"thresholds":[{"max_connections":)"
      R"(4294967295,"max_pending_requests":4294967295,"max_requests":4294967295,"max_retries":)"
      R"(4294967295}]},"common_lb_config":{},"metadata":{"filter_metadata":{"istio":{"services":)"
      R"([{"host":"users.retail.svc.cluster.local"}]}}},"filters":[)",
      filters,
      R"(],"transport_socket_matches":[{"name":"tlsMode-istio","match":{"tlsMode":"istio"},)"
      R"("transport_socket":{"name":"envoy.transport_sockets.tls","typed_config":{"@type":)"
      R"("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",)"
      R"("sni":"outbound_.7000_._.users.retail.svc.cluster.local","common_tls_context":{)"
      R"("tls_params":{"tls_minimum_protocol_version":"TLSv1_2","tls_maximum_protocol_version":)"
      R"("TLSv1_3"},"alpn_protocols":["istio-peer-exchange","istio"],)"
      R"("tls_certificate_sds_secret_configs":[{"name":"default",)",
      kSds,
      R"(}],"combined_validation_context":{"default_validation_context":{)"
      R"("match_typed_subject_alt_names":[{"san_type":"URI","matcher":{"exact":)"
      R"("spiffe://cluster.local/ns/retail/sa/users"}}]},"validation_context_sds_secret_config":{)"
      R"("name":"ROOTCA",)",
      kSds,
      R"(}}}}}},{"name":"tlsMode-disabled","match":{},"transport_socket":{"name":)"
      R"("envoy.transport_sockets.raw_buffer","typed_config":{"@type":"type.googleapis.com/)"
      R"(envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}}]})");
}

constexpr std::string_view kExchange =
    R"({"name":"istio.metadata_exchange","typed_config":{"@type":"type.googleapis.com/udpa.type.v1.)"
    R"(TypedStruct","type_url":"type.googleapis.com/envoy.tcp.metadataexchange.config.)"
    R"(MetadataExchange","value":{"enable_discovery":true,"protocol":"istio-peer-exchange"}}})";

TEST(IstioFields, AClusterOfTheMeshIsTakenWhole) {
  const auto bytes = xds::encode(roots()[kCluster].type, cluster_of_mesh(kExchange));
  ASSERT_TRUE(bytes) << bytes.error();
  config::Errors errors(config::UnknownFields::kCount);
  const auto document = xds::reflect(roots()[kCluster].type, *bytes, "cds/users", errors);
  ASSERT_NE(document, nullptr);
  const auto cluster = upstream::parse_cluster(document->root(errors));
  EXPECT_EQ(errors.to_string(), "");
  std::vector<std::string> left_out;
  for (const auto& [name, field] : errors.unknown_fields()) left_out.push_back(name);
  EXPECT_EQ(left_out,
            (std::vector<std::string>{"envoy.config.cluster.v3.Cluster.metadata",
                                      "envoy.tcp.metadataexchange.config.MetadataExchange"}));
  const auto& matches = cluster->pool->transport_matches;
  ASSERT_EQ(matches.size(), 2u);
  ASSERT_NE(matches[0].tls, nullptr);
  EXPECT_EQ(matches[0].tls->config().alpn, std::vector<std::string>{"istio"})
      << "who would take up the exchange would wait for it";
  EXPECT_EQ(matches[0].tls->secrets().certificates.size(), 1u);
  EXPECT_EQ(matches[1].tls, nullptr);
  // Without the filter all is offered, as in Envoy.
  const auto plain = xds::encode(roots()[kCluster].type, cluster_of_mesh(""));
  const auto tree = xds::reflect(roots()[kCluster].type, *plain, "cds/users", errors);
  const auto other = upstream::parse_cluster(tree->root(errors));
  EXPECT_EQ(other->pool->transport_matches[0].tls->config().alpn.size(), 2u);
}

TEST(IstioFields, AClusterWithAnotherFilterIsRefused) {
  const std::string other =
      R"({"name":"x","typed_config":{"@type":"type.googleapis.com/google.rpc.Status"}})";
  for (const std::string& filters : {other, str(kExchange, ',', other)}) {
    const std::string text = problems_of(cluster_of_mesh(filters), kCluster);
    EXPECT_NE(text.find("filters: known to Envoy v3 but not supported"), std::string::npos) << text;
  }
}

TEST(IstioFields, TakesTwoFiltersOfOneNameAndARangeOfPortsWithoutStart) {
  const std::string rbac =
      R"({"name":"envoy.filters.http.rbac","typed_config":{"@type":"type.googleapis.com/)"
      R"(envoy.extensions.filters.http.rbac.v3.RBAC"}})";
  const std::string json = str(
      R"({"name":"l","address":{"socket_address":{"address":"127.0.0.1","port_value":1}},)"
      R"("listener_filters":[{"name":"h","filter_disabled":{"destination_port_range":{"end":1}},)"
      R"("typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.listener.)"
      R"(http_inspector.v3.HttpInspector"}}],"filter_chains":[{"filter_chain_match":{},)"
      R"("filters":[{"name":"m","typed_config":{"@type":"type.googleapis.com/)",
      kManager, R"(","stat_prefix":"a","route_config":{},"http_filters":[)", rbac, ",", rbac,
      R"(,{"name":"r","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.http.)"
      R"(router.v3.Router"}}]}}]}]})");
  EXPECT_EQ(problems_of(json, kListener), "");
}

// A listener with one network filter before the manager, and one HTTP filter before the router.
std::string listener_with(std::string_view network, std::string_view http) {
  return str(R"({"name":"l","address":{"socket_address":{"address":"127.0.0.1","port_value":1}},)"
             R"("filter_chains":[{"filters":[{"name":"n","typed_config":)",
             network, R"(},{"name":"m","typed_config":{"@type":"type.googleapis.com/)", kManager,
             R"(","stat_prefix":"a","route_config":{},"http_filters":[{"name":"h","typed_config":)",
             http,
             R"(},{"name":"r","typed_config":{"@type":"type.googleapis.com/envoy.extensions.)"
             R"(filters.http.router.v3.Router"}}]}}]}]})");
}

TEST(IstioFields, LeavesOutFiltersThatOnlyObserve) {
  // Of the same length as what is sent, which has no message here.
  constexpr std::string_view kKnown = "type.googleapis.com/google.rpc.Status";
  constexpr std::string_view kSent = "ype.googleapis.com/stats.PluginConfig";
  const std::string any = str(R"({"@type":")", kKnown, R"("})");
  Result<std::string> bytes = xds::encode(roots()[kListener].type, listener_with(any, any));
  ASSERT_TRUE(bytes) << bytes.error();
  for (size_t at = 0; (at = bytes->find(kKnown, at)) != bytes->npos;)
    bytes->replace(at, kKnown.size(), kSent);
  config::Errors errors(config::UnknownFields::kCount);
  const auto document = xds::reflect(roots()[kListener].type, *bytes, "lds/l", errors);
  ASSERT_NE(document, nullptr);
  roots()[kListener].parse(document->root(errors));
  EXPECT_EQ(errors.to_string(), "");
  ASSERT_EQ(errors.unknown_fields().size(), 1u);
  EXPECT_EQ(errors.unknown_fields().at("stats.PluginConfig").count, 2u);

  config::Errors strict;
  const auto again = xds::reflect(roots()[kListener].type, *bytes, "lds/l", strict);
  roots()[kListener].parse(again->root(strict));
  EXPECT_EQ(strict.error_count(), 2u) << strict.to_string();
}

TEST(IstioFields, RefusesFiltersWithoutWhichPeersWouldMisunderstand) {
  const auto wrapped = [](std::string_view type) {
    return str(R"({"@type":"type.googleapis.com/udpa.type.v1.TypedStruct","type_url":)"
               R"("type.googleapis.com/)",
               type, R"(","value":{}})");
  };
  const std::string fine =
      R"({"@type":"type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC",)"
      R"("stat_prefix":"a"})";
  EXPECT_EQ(problems_of(listener_with(wrapped("envoy.tcp.metadataexchange.config.MetadataExchange"),
                                      wrapped("io.istio.http.peer_metadata.Config")),
                        kListener),
            "test: filter_chains[0].filters[0].typed_config: unknown network filter "
            "\"envoy.tcp.metadataexchange.config.MetadataExchange\"\n"
            "test: filter_chains[0].filters[1].typed_config.http_filters[0].typed_config: unknown "
            "HTTP filter \"io.istio.http.peer_metadata.Config\"\n");
  // In a TypedStruct too, what we have is what it is.
  EXPECT_EQ(
      problems_of(listener_with(fine, wrapped("envoy.extensions.filters.http.fault.v3.HTTPFault")),
                  kListener),
      "");
}

}  // namespace
}  // namespace pillion
