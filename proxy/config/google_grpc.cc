#include "proxy/config/google_grpc.h"

#include <charconv>
#include <chrono>
#include <iterator>
#include <map>
#include <string_view>
#include <utility>

#include "proxy/base/result.h"
#include "proxy/base/str.h"
#include "proxy/config/envoy_writer.h"
#include "proxy/config/suggest.h"
#include "proxy/config/value_hash.h"

namespace pillion::config {
namespace {

constexpr std::string_view kPrefix = "google_grpc/";
constexpr std::string_view kDefaultPort = "443";  // as that library has it
constexpr std::string_view kHttpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
constexpr std::string_view kUpstreamTls =
    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
constexpr std::string_view kPlugins = "envoy.extensions.grpc_service.channel_credentials.";
constexpr std::string_view kForms =
    "host:port, dns:///host:port, ipv4:address:port, ipv6:[address]:port or unix:path";

// Two services of one target are one only if they show the same credentials.  channel_args make no
// difference, for they have none.
std::string cluster_name(std::string_view target, const Node& google) {
  const Node credentials = google["channel_credentials"];
  const Node ssl = credentials.is_mapping() ? credentials["ssl_credentials"] : Node();
  if (!ssl.is_mapping()) return str(kPrefix, target);
  Errors no_files;  // of the text alone: what files hold has been read in one of two places only
  char digits[16];
  const auto [end, error] = std::to_chars(std::begin(digits), std::end(digits),
                                          hash_value(Node(ssl.value(), &no_files)), 16);
  return str(kPrefix, target, "#tls-", std::string_view(digits, end));
}

std::string_view target_of(const Node& google) { return google["target_uri"].raw(); }

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

Result<AddressText> parse_host(std::string_view text) {
  const bool has_port = text.find(':', text.rfind(']') + 1) != text.npos;
  return parse_address(has_port ? std::string(text) : str(text, ':', kDefaultPort));
}

Result<AddressText> parse_target(std::string_view text) {
  if (take_prefix(text, "unix:")) {
    // An absolute path may have the two slashes of an URI before it.
    if (text.starts_with("///")) text.remove_prefix(2);
    return parse_address(str("unix:", text));
  }
  const bool is_v4 = take_prefix(text, "ipv4:");
  const bool is_v6 = !is_v4 && take_prefix(text, "ipv6:");
  if (!is_v4 && !is_v6 && take_prefix(text, "dns:") && take_prefix(text, "//") &&
      !take_prefix(text, "/"))
    return Error{"a DNS server of its own is not supported: dns:///host:port"};
  Result<AddressText> address = parse_host(text);
  if (!address) return address;
  const bool is_ip = address->kind == AddressText::Kind::kIp;
  if (address->kind == AddressText::Kind::kUnix || ((is_v4 || is_v6) && !is_ip) ||
      (is_v4 && address->is_v6()) || (is_v6 && !address->is_v6()))
    return Error{str("expected ", kForms)};
  return address;
}

// ---- what is read ----

void check_ssl(const Node& ssl) {
  if (ssl.is_missing()) return;
  // There are no built-in ones.
  (void)ssl.required("root_certs");
  if (ssl.has("private_key") != ssl.has("cert_chain"))
    ssl.expected("cert_chain and private_key together");
  // Their contents are read where the cluster is.
  ssl.reject_unknown_keys(Unknown::kAlwaysError);
}

void check_credentials(const Node& credentials) {
  if (credentials.is_missing()) return;
  (void)credentials.one_of({"ssl_credentials", "google_default", "local_credentials"});
  check_ssl(credentials["ssl_credentials"]);
  credentials.ignore({"local_credentials"});  // no TLS: the peer is on this machine
  credentials.unsupported({"google_default"}, "use ssl_credentials", Unknown::kAlwaysError);
  credentials.reject_unknown_keys(Unknown::kAlwaysError);
}

// Without TLS, in its newer form; others are not there.
void check_plugins(const Node& plugins) {
  for (const Node plugin : plugins.items()) {
    const std::string_view type = plugin.typed_config().type;
    if (type == str(kPlugins, "insecure.v3.InsecureCredentials") ||
        type == str(kPlugins, "local.v3.LocalCredentials") || type.empty())
      continue;
    plugin.error(str("\"", printable(type), "\" is not supported: use ssl_credentials"));
  }
}

// ---- what is written ----

void write_data(EnvoyWriter& out, std::string_view key, const Node& source) {
  if (source.is_missing()) return;
  out.value(key, [&](TreeBuilder& tree) { tree.copy(*source.value()); });
}

void write_tls(EnvoyWriter& out, const Node& ssl, const AddressText& address) {
  const bool is_name = address.kind == AddressText::Kind::kName;
  out.message("transport_socket", [&] {
    out.extension("envoy.transport_sockets.tls", kUpstreamTls, [&] {
      if (is_name) out.text("sni", address.host);
      out.message("common_tls_context", [&] {
        if (ssl.has("cert_chain")) {
          out.list("tls_certificates", [&] {
            out.item([&] {
              write_data(out, "certificate_chain", ssl["cert_chain"]);
              write_data(out, "private_key", ssl["private_key"]);
            });
          });
        }
        out.message("validation_context", [&] {
          write_data(out, "trusted_ca", ssl["root_certs"]);
          if (address.kind == AddressText::Kind::kUnix) return;
          out.list("match_typed_subject_alt_names", [&] {
            out.item([&] {
              out.word("san_type", is_name ? "DNS" : "IP_ADDRESS");
              out.message("matcher", [&] { out.text("exact", address.host); });
            });
          });
        });
      });
    });
  });
}

// A peer that is gone without a word is noticed after half a minute.
void write_http2(EnvoyWriter& out) {
  out.message("typed_extension_protocol_options", [&] {
    out.any(kHttpOptions, kHttpOptions, [&] {
      out.message("explicit_http_config", [&] {
        out.message("http2_protocol_options", [&] {
          out.message("connection_keepalive", [&] {
            out.duration("interval", std::chrono::seconds(30));
            out.duration("timeout", std::chrono::seconds(5));
          });
        });
      });
    });
  });
}

void write_cluster(EnvoyWriter& out, std::string_view name, const AddressText& address,
                   const Node& ssl) {
  out.item([&] {
    out.text("name", name);
    out.word("type", address.kind == AddressText::Kind::kName ? "STRICT_DNS" : "STATIC");
    out.duration("connect_timeout", std::chrono::seconds(5));
    out.message("load_assignment", [&] {
      out.text("cluster_name", name);
      out.list("endpoints", [&] {
        out.item([&] {
          out.list("lb_endpoints", [&] {
            out.item([&] { out.message("endpoint", [&] { out.address("address", address); }); });
          });
        });
      });
    });
    write_http2(out);
    if (ssl.is_present()) write_tls(out, ssl, address);
  });
}

// Every google_grpc below `value`, by the name of its cluster.
void find_services(const Value& value, Errors& errors, std::map<std::string, Node>& out) {
  if (value.kind != Kind::kMapping && value.kind != Kind::kSequence) return;
  for (const Value* child = value.first_child; child != nullptr; child = child->next) {
    const Node node(child, &errors);
    const bool is_list =
        value.kind == Kind::kMapping && is_same_field(*child->key, "grpc_services");
    if (is_list && node.is_sequence()) {
      for (const Node service : node.items()) {
        const Node google = service.is_mapping() ? service["google_grpc"] : Node();
        if (!google.is_mapping()) continue;
        out.emplace(cluster_name(google["target_uri"].raw(), google), google);
      }
    }
    find_services(*child, errors, out);
  }
}

}  // namespace

GoogleGrpc parse_google_grpc(const Node& node) {
  GoogleGrpc out;
  const Node target = node.required("target_uri");
  const std::string text = target.as_string_or("");
  const Result<AddressText> address = parse_target(text);
  if (address) {
    out.authority =
        address->kind == AddressText::Kind::kUnix ? std::string("localhost") : address->to_string();
    out.cluster = cluster_name(text, node);
  } else if (target.is_present()) {
    target.error(address.error());
  }
  if (node.is_present() && node.where().mark.line == 0)
    node.error("is supported in files alone: use envoy_grpc and a cluster");
  check_credentials(node["channel_credentials"]);
  check_plugins(node["channel_credentials_plugin"]);
  node.ignore({"stat_prefix"});  // the cluster's counters have its name
  if (node.has("channel_args"))
    node["channel_args"].warn("has no effect: the options of the cluster are Pillion's own");
  node.ignore({"per_stream_buffer_limit_bytes"});  // requests are small, and bounded anyhow
  node.unsupported(
      {"call_credentials", "call_credentials_plugin", "credentials_factory_name", "config"},
      "use initial_metadata or ssl_credentials", Unknown::kAlwaysError);
  node.reject_unknown_keys();
  return out;
}

DocumentPtr add_google_grpc_clusters(const DocumentPtr& document) {
  if (document == nullptr) return document;
  Errors ignored;  // what is wrong is told where it is parsed
  std::map<std::string, Node> services;
  find_services(document->root_value(), ignored, services);
  const Node resources = document->root(ignored)["static_resources"];
  for (const Node cluster : resources.is_mapping() ? resources["clusters"].items() : Node().items())
    std::erase_if(services, [&](const auto& item) {
      return cluster.is_mapping() && cluster["name"].raw() == item.first;
    });
  std::erase_if(services, [](const auto& item) { return !parse_target(target_of(item.second)); });
  if (services.empty()) return document;
  TreeBuilder tree(document->source());
  tree.keep_alive(document);
  EnvoyWriter out(tree);
  out.item([&] {
    out.message("static_resources", [&] {
      out.list("clusters", [&] {
        for (const auto& [name, node] : services) {
          const Node credentials = node["channel_credentials"];
          const Node ssl = credentials.is_mapping() ? credentials["ssl_credentials"] : Node();
          out.standing_for(node,
                           [&] { write_cluster(out, name, *parse_target(target_of(node)), ssl); });
        }
      });
    });
  });
  return merge(document, tree.finish());
}

}  // namespace pillion::config
