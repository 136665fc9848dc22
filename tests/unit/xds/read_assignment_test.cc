// The way of plain assignments (upstream/read_assignment.h) held against the way of all others.
#include "proxy/upstream/read_assignment.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>

#include "proxy/base/protobuf_wire.h"
#include "proxy/base/str.h"
#include "proxy/upstream/parse.h"
#include "xds/reflect.h"
#include "xds/resource_document.h"

namespace pillion::xds {
namespace {

constexpr std::string_view kAddress =
    R"("address":{"socket_address":{"address":"10.0.0.1","port_value":80}})";

std::string describe(const upstream::Endpoints& endpoints) {
  std::string out;
  for (const upstream::Endpoint& host : endpoints) {
    out += str(host.address.to_string(), '|', std::string_view(host.hostname), '|', host.weight,
               '|', int{host.priority}, '|', static_cast<int>(host.health));
    if (host.locality)
      out += str("|in ", host.locality->region, '/', host.locality->zone, '/',
                 host.locality->sub_zone);
    if (host.check)
      out +=
          str("|check ", host.check->port, '/', host.check->hostname, '/', host.check->is_disabled);
    if (host.transport != nullptr) {
      for (const auto* labels : {&host.transport->own, &host.transport->of_locality}) {
        out += "|labels";
        for (const auto& [key, value] : *labels) out += str(' ', key, '=', value);
      }
    }
    out += '\n';
  }
  return out;
}

std::string str_of(const std::set<std::string>& left_out) {
  std::string out;
  for (const std::string& name : left_out) out += name + '\n';
  return out;
}

// What the other way makes of it, and leaves out.
std::string by_document(const std::string& bytes) {
  config::Errors errors(config::UnknownFields::kCount);
  const ResourceDocument read = document_of(ResourceType::kEndpoints, {"a", bytes}, errors);
  if (!errors.ok()) return "refused";
  const upstream::Endpoints endpoints = upstream::parse_assignment(read.node(errors));
  if (!errors.ok()) return "refused";
  if (!errors.to_string(config::Severity::kWarning).empty()) return "warned";
  std::set<std::string> left_out;
  for (const auto& [name, field] : errors.unknown_fields())
    left_out.insert(str(name, ' ', field.count));
  return describe(endpoints) + str_of(left_out);
}

std::string by_bytes(const std::string& bytes) {
  upstream::PlainAssignment read;
  if (!upstream::read_assignment(bytes, read)) return "declined";
  std::set<std::string> left_out;
  for (const std::string& name : read.left_out) left_out.insert(str(name, " 1"));
  return describe(read.endpoints) + str_of(left_out);
}

std::string bytes_of(std::string_view json) {
  const Result<std::string> bytes = encode(message_of(ResourceType::kEndpoints), json);
  EXPECT_TRUE(bytes) << json;
  return bytes ? *bytes : std::string();
}
std::string with_item(std::string_view fields) {
  return str(R"({"cluster_name":"a","endpoints":[{"lb_endpoints":[{)", fields, "}]}]}");
}
std::string with_endpoint(std::string_view fields) {
  return with_item(str(R"("endpoint":{)", kAddress, ',', fields, '}'));
}
std::string with_group(std::string_view fields) {
  return str(R"({"endpoints":[{"lb_endpoints":[{"endpoint":{)", kAddress, "}}],", fields, "}]}");
}
std::string with_metadata(std::string_view first, std::string_view second = "{}") {
  return str(R"({"endpoints":[{"metadata":)", second, R"(,"lb_endpoints":[{"metadata":)", first,
             R"(,"endpoint":{)", kAddress, R"(}},{"endpoint":{)", kAddress, "}}]}]}");
}
std::string at(std::string_view address) {
  return with_item(str(R"("endpoint":{"address":{)", address, "}}"));
}

TEST(ReadAssignment, TakesWhatIsPlain) {
  const std::string plain[] = {
      "{}",
      R"({"cluster_name":"outbound|80||a.shop"})",
      with_endpoint(R"("hostname":"a.shop")"),
      with_endpoint(R"("health_check_config":{})"),
      with_endpoint(
          R"("health_check_config":{"port_value":9,"hostname":"h","disable_active_health_check":true})"),
      with_item(str(R"("load_balancing_weight":7,"health_status":"DRAINING","endpoint":{)",
                    kAddress, '}')),
      with_item(str(R"("health_status":"DEGRADED","endpoint":{)", kAddress, '}')),
      with_group(R"("locality":{})"),
      with_group(R"("locality":{"region":"r","zone":"z","sub_zone":"s"},"priority":128)"),
      with_group(R"("load_balancing_weight":3,"proximity":2)"),
      at(R"("socket_address":{"address":"::1","port_value":65535,"protocol":"TCP"})"),
      at(R"("socket_address":{"address":"fe80::1%2","port_value":0})"),
      R"({"policy":{"overprovisioning_factor":140}})",
      R"({"policy":{}})",
      R"({"endpoints":[{},{"priority":1}]})",
      with_metadata("{}"),
      with_metadata(R"({"filter_metadata":{"envoy.transport_socket_match":{"tlsMode":"istio"},)"
                    R"("istio":{"workload":"a;b;c"}}})"),
      with_metadata(R"({"filter_metadata":{"envoy.transport_socket_match":{"b":"1","a":"true"}}})",
                    R"({"filter_metadata":{"envoy.transport_socket_match":{"c":"\"x"}}})"),
      with_metadata(R"({"filter_metadata":{"envoy.lb":{"x":"y"},"a":{},"b":{}}})",
                    R"({"filter_metadata":{"a":{"k":"v"}}})"),
  };
  for (const std::string& json : plain) {
    const std::string bytes = bytes_of(json);
    EXPECT_EQ(by_bytes(bytes), by_document(bytes)) << json;
    EXPECT_NE(by_bytes(bytes), "declined") << json;
  }
}

TEST(ReadAssignment, LeavesToTheOtherWayWhatIsNotPlain) {
  const std::string odd[] = {
      at(R"("socket_address":{"address":"a.shop","port_value":80})"),
      at(R"("socket_address":{"address":"10.0.0.1"})"),
      at(R"("socket_address":{"address":"10.0.0.1","named_port":"http"})"),
      at(R"("socket_address":{"address":"10.0.0.1","port_value":65536})"),
      at(R"("socket_address":{"address":"10.0.0.1","port_value":80,"protocol":"UDP"})"),
      at(R"("socket_address":{"address":"10.0.0.1","port_value":80,"ipv4_compat":true})"),
      at(R"("socket_address":{"address":"10.0.0.1","port_value":80,"resolver_name":"x"})"),
      at(R"("socket_address":{"address":"10.0.0.1","port_value":80,)"
         R"("network_namespace_filepath":"/n"})"),
      at(R"("pipe":{"path":"/run/a"})"),
      at(R"("envoy_internal_address":{"server_listener_name":"x"})"),
      at(""),
      with_item(""),
      with_item(R"("endpoint_name":"x")"),
      with_item(str(R"("load_balancing_weight":0,"endpoint":{)", kAddress, '}')),
      with_metadata(R"({"filter_metadata":{"envoy.transport_socket_match":{"a":1}}})"),
      with_metadata(R"({"filter_metadata":{"envoy.transport_socket_match":{"a":null}}})"),
      with_metadata(R"({"filter_metadata":{"istio":{"a":{"b":"c"}}}})"),
      with_metadata(R"({"filter_metadata":{"":{}}})"),
      with_metadata(R"({"typed_filter_metadata":{"a":{}}})"),
      with_endpoint(R"("additional_addresses":[{}])"),
      with_endpoint(R"("observability_name":"x")"),
      with_endpoint(R"("hostname":"\u00e4")"),
      with_endpoint(R"("hostname":"a\u0000b")"),
      with_endpoint(R"("health_check_config":{"port_value":70000})"),
      with_endpoint(R"("health_check_config":{"address":{}})"),
      with_group(R"("priority":129)"),
      with_group(R"("load_balancer_endpoints":{})"),
      with_group(R"("leds_cluster_locality_config":{})"),
      R"({"policy":{"overprovisioning_factor":200}})",
      R"({"policy":{"drop_overloads":[{"category":"x"}]}})",
      R"({"policy":{"endpoint_stale_after":"1s"}})",
      R"({"policy":{"weighted_priority_health":true}})",
      R"({"named_endpoints":{"x":{}}})",
  };
  for (const std::string& json : odd) EXPECT_EQ(by_bytes(bytes_of(json)), "declined") << json;
}

TEST(ReadAssignment, DeclinesBytesThatAreOddOrNoMessage) {
  const std::string plain = bytes_of(with_endpoint(R"("hostname":"a.shop")"));
  std::string twice;
  wire::write_bytes(twice, 1, "a");
  wire::write_bytes(twice, 1, "b");
  std::string unknown = plain;
  wire::write_number(unknown, 99, 1);
  std::string other_type;
  wire::write_number(other_type, 1, 5);
  for (const std::string& bytes : {twice, unknown, other_type, std::string("\x0a\xff"),
                                   // A tag of more bytes than a tag has.
                                   std::string("\x8a\x80\x80\x80\x80\x00\x00", 7)})
    EXPECT_EQ(by_bytes(bytes), "declined");
  for (size_t size = 0; size < plain.size(); ++size) {
    const std::string cut = plain.substr(0, size);
    const std::string read = by_bytes(cut);
    if (read == "declined") continue;
    EXPECT_EQ(read, by_document(cut)) << size;
  }
}

// Each bit of an assignment turned around: declined, or the same as by the other way.
TEST(ReadAssignment, SaysTheSameOfDamagedBytes) {
  const std::string bytes = bytes_of(
      R"({"cluster_name":"a","endpoints":[{"locality":{"zone":"z"},"priority":1,"lb_endpoints":[{)"
      R"("health_status":"HEALTHY","load_balancing_weight":2,"endpoint":{"hostname":"h",)"
      R"("address":{"socket_address":{"address":"10.0.0.1","port_value":80}}}}]}]})");
  size_t taken = 0;
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const std::string read = by_bytes(damaged);
    if (read == "declined") continue;
    ++taken;
    EXPECT_EQ(read, by_document(damaged)) << bit;
  }
  EXPECT_GT(taken, 20U) << "texts and numbers may well be others";
}

}  // namespace
}  // namespace pillion::xds
