// What an HttpConnectionManager believes of a request's head, and what it writes there.
#include "proxy/core/parse_parts.h"

namespace pillion::core {
namespace {

using config::EnumRow;
using config::Node;
using config::Unknown;

constexpr std::string_view kUuid = "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig";
constexpr EnumRow kClientCert[] = {{"SANITIZE", 0},
                                   {"FORWARD_ONLY", 1},
                                   {"APPEND_FORWARD", 2},
                                   {"SANITIZE_SET", 3},
                                   {"ALWAYS_FORWARD_ONLY", 4}};

void parse_client_cert(HcmConfig& out, const Node& hcm) {
  out.forward_client_cert =
      hcm["forward_client_cert_details"].as_enum_or(ForwardClientCert::kSanitize, kClientCert);
  const Node node = hcm["set_current_client_cert_details"];
  out.client_cert_details.cert = node["cert"].as_bool_or(false);
  out.client_cert_details.chain = node["chain"].as_bool_or(false);
  out.client_cert_details.subject = node["subject"].as_bool_or(false);
  out.client_cert_details.dns = node["dns"].as_bool_or(false);
  out.client_cert_details.uri = node["uri"].as_bool_or(false);
  refuse_true(node, {"issuer"});
  node.unsupported({"format"}, kLater);
  node.reject_unknown_keys();
  hcm.unsupported({"forward_client_cert_matcher"}, kLater, Unknown::kAlwaysError);
}

void parse_request_id(HcmConfig& out, const Node& hcm) {
  out.generate_request_id = hcm["generate_request_id"].as_bool_or(true);
  out.preserve_external_request_id = hcm["preserve_external_request_id"].as_bool_or(false);
  out.always_set_request_id_in_response =
      hcm["always_set_request_id_in_response"].as_bool_or(false);
  const Node extension = hcm["request_id_extension"];
  if (extension.is_missing()) return;
  const auto [type, node] = extension["typed_config"].typed_config();
  extension.reject_unknown_keys();
  if (type == kUuid) {
    out.request_id_carries_reason = node["pack_trace_reason"].as_bool_or(true);
    out.request_id_samples = node["use_request_id_for_trace_sampling"].as_bool_or(true);
    node.reject_unknown_keys();
  } else if (!type.empty()) {
    node["@type"].expected(kUuid);
  }
}

void parse_host(HcmConfig& out, const Node& hcm) {
  out.strip_matching_host_port = hcm["strip_matching_host_port"].as_bool_or(false);
  out.strip_any_host_port = hcm["strip_any_host_port"].as_bool_or(false);
  out.strip_trailing_host_dot = hcm["strip_trailing_host_dot"].as_bool_or(false);
  if (out.strip_any_host_port && out.strip_matching_host_port) {
    hcm["strip_any_host_port"].error(
        "only one of strip_matching_host_port and strip_any_host_port may be true");
  }
}

// Empty it says what is so without it.
void parse_internal_addresses(const Node& node) {
  if (node["unix_sockets"].as_bool_or(false))
    node.unsupported({"unix_sockets"}, kLater, Unknown::kAlwaysError);
  node.unsupported({"cidr_ranges"}, kLater, Unknown::kAlwaysError);
  node.reject_unknown_keys(Unknown::kAlwaysError);
}

}  // namespace

void parse_request_headers(HcmConfig& out, const Node& hcm) {
  out.use_remote_address = hcm["use_remote_address"].as_bool_or(false);
  out.xff_num_trusted_hops = hcm["xff_num_trusted_hops"].as_u32_or(0);
  out.skip_xff_append = hcm["skip_xff_append"].as_bool_or(false);
  out.append_x_forwarded_port = hcm["append_x_forwarded_port"].as_bool_or(false);
  parse_request_id(out, hcm);
  parse_client_cert(out, hcm);
  parse_host(out, hcm);
  hcm.ignore({"add_proxy_protocol_connection_state"});  // there is none
  refuse_true(hcm, {"add_user_agent", "represent_ipv4_remote_address_as_ipv4_mapped_ipv6"});
  parse_internal_addresses(hcm["internal_address_config"]);
  hcm.unsupported({"original_ip_detection_extensions", "early_header_mutation_extensions",
                   "scheme_header_transformation", "forward_proto_config"},
                  kLater, Unknown::kAlwaysError);
}

}  // namespace pillion::core
