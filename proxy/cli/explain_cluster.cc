#include <algorithm>
#include <iterator>

#include "proxy/base/str.h"
#include "proxy/cli/explain_parts.h"
#include "proxy/config/scalars.h"
#include "proxy/config/suggest.h"
#include "proxy/tls/context_slot.h"

namespace pillion::cli {
namespace {

using upstream::ClusterConfig;
using upstream::DiscoveryType;

std::string seconds(Duration d) {
  return d == Duration{} ? std::string("none") : config::format_duration(d);
}

std::string_view policy_name(upstream::BalancePolicy policy) {
  switch (policy) {
    case upstream::BalancePolicy::kRoundRobin:
      return "round robin";
    case upstream::BalancePolicy::kLeastRequest:
      return "least requests";
    case upstream::BalancePolicy::kRandom:
      return "random";
  }
  return {};
}

// "mutual TLS; the server must have a certificate of ca.crt, with URI SAN with prefix spiffe://a/"
std::string tls_text(const tls::Context& tls) {
  std::string required = tls.verifier().requirement();
  if (tls.verifies_names_by_sni())
    required += str(required.empty() ? "" : ", ", "the name that it is called by");
  return str(tls.shows_certificate() ? "mutual TLS" : "TLS", "; the server ",
             required.empty() ? "may be anybody" : "must have ", required);
}

// Of secrets that are not there while a configuration is explained.
std::string tls_text(const tls::ContextSlot& slot) {
  if (const std::shared_ptr<const tls::Context> context = slot.current()) return tls_text(*context);
  const tls::SecretRefs& secrets = slot.secrets();
  std::string out = secrets.certificates.empty() ? "TLS" : "mutual TLS";
  for (const tls::SecretRef& ref : secrets.certificates)
    out += str(" with the secret \"", ref.name, '"');
  if (secrets.validation)
    out += str("; the server must have what the secret \"", secrets.validation->name, "\" says");
  return out;
}

// Null: none.
std::string socket_text(const tls::ContextSlot* tls, Content content) {
  const bool is_clients = content == Content::kClientsTls;
  if (tls != nullptr)
    return str(tls_text(*tls), is_clients ? "; the client's own TLS within it" : "");
  return is_clients ? "the client's own TLS as it comes" : "plain text";
}

std::string labels_text(const upstream::LabelSet& labels) {
  std::string out;
  for (const auto& [key, value] : labels)
    out += str(out.empty() ? "" : ", ", config::printable(key), '=', value);
  return out;
}

// How connections are made; which of several ways depends on the host's labels.
void explain_sockets(const upstream::PoolOptions& pool, Content content, Lines& lines) {
  for (const upstream::TransportMatch& match : pool.transport_matches) {
    lines.push_back(
        str("upstream, ",
            match.labels.empty() ? "any other host" : str("hosts with ", labels_text(match.labels)),
            " (\"", match.name, "\"): ", socket_text(match.tls.get(), content)));
    if (match.labels.empty()) return;  // what stands behind it is for nobody
  }
  lines.push_back(str(pool.transport_matches.empty() ? "upstream: " : "upstream, other hosts: ",
                      socket_text(pool.tls.get(), content)));
}

std::string details(const upstream::HostInfo& host) {
  std::string text;
  if (host.transport() != nullptr) {
    const upstream::LabelSet& own = host.transport()->own;
    text += str(", ", labels_text(own.empty() ? host.transport()->of_locality : own));
  }
  if (host.weight != 1) text += str(", weight ", host.weight);
  if (host.priority != 0) text += str(", priority ", host.priority);
  if (!host.is_healthy()) text += host.is_degraded() ? ", degraded" : ", not healthy";
  return text;
}

void explain_original_destination(const ClusterConfig& cluster,
                                  const core::ConnectionInfo& connection, Lines& lines) {
  io::Address to = connection.local;
  if (cluster.original_dst_port != 0) to.set_port(cluster.original_dst_port);
  const bool is_told = to.ip_string() != kSomeServer;
  lines.push_back(str("host: ", is_told ? to.to_string() : str("port ", to.port()),
                      ", where the client meant to go"));
}

void explain_hosts(const ClusterConfig& cluster, const core::ConnectionInfo& connection,
                   Lines& lines) {
  switch (cluster.type) {
    case DiscoveryType::kStatic:
      for (const auto& host : cluster.static_hosts.hosts) {
        lines.push_back(str("host: ", host->address.to_string(), details(*host)));
      }
      if (cluster.static_hosts.hosts.empty()) lines.push_back("host: none; the answer is 503");
      return;
    case DiscoveryType::kStrictDns:
    case DiscoveryType::kLogicalDns:
      for (const auto& target : cluster.dns_targets) {
        lines.push_back(str(
            "host: ", cluster.type == DiscoveryType::kStrictDns ? "each address" : "one address",
            " of ", target.name, ", port ", target.port,
            details({0, target.like, SharedValue<upstream::HostTraits>(target.like)})));
      }
      for (const auto& host : cluster.static_hosts.hosts) {
        lines.push_back(str("host: ", host->address.to_string(), details(*host)));
      }
      return;
    case DiscoveryType::kEds:
      lines.push_back(
          str("host: one of those that the control plane has under \"", cluster.eds_name, '"'));
      return;
    case DiscoveryType::kOriginalDst:
      return explain_original_destination(cluster, connection, lines);
  }
}

std::string retries_text(const upstream::LimitValues& limits) {
  if (!limits.retry_budget) return str(limits.max_retries, " retries");
  return str("retries for ", limits.retry_budget->percent, "% of the requests under way, but ",
             limits.retry_budget->min_concurrency, " at least");
}

std::shared_ptr<const ClusterConfig> find_cluster(const Known& known, std::string_view name,
                                                  Lines& facts) {
  if (known.facts != nullptr) return known.facts->cluster(name, facts);
  const auto it = std::ranges::find_if(known.snapshot.clusters,
                                       [name](const auto& each) { return each->name == name; });
  return it == known.snapshot.clusters.end() ? nullptr : *it;
}

}  // namespace

void explain_cluster(const Known& known, std::string_view name,
                     const core::ConnectionInfo& connection, Content content, Lines& lines) {
  Lines facts;
  const auto found = find_cluster(known, name, facts);
  if (found == nullptr) {
    lines.push_back(str("cluster: there is none called \"", name, '"'));
    std::ranges::move(facts, std::back_inserter(lines));
    return;
  }
  const ClusterConfig& cluster = *found;
  lines.push_back(str("cluster: ", name));
  std::ranges::move(facts, std::back_inserter(lines));
  const bool is_told = known.facts != nullptr && cluster.type != DiscoveryType::kOriginalDst &&
                       known.facts->hosts(name, lines);
  if (!is_told) explain_hosts(cluster, connection, lines);
  if (cluster.type != DiscoveryType::kOriginalDst) {
    lines.push_back(str("balancing: ", policy_name(cluster.balancer.group.policy)));
  }
  explain_sockets(*cluster.pool, content, lines);
  lines.push_back(str("connect timeout: ", seconds(cluster.pool->connect_timeout)));
  const upstream::LimitValues& limits = cluster.pool->limits;
  lines.push_back(str("limits: ", limits.max_connections, " connections, ", limits.max_pending,
                      " pending, ", limits.max_requests, " requests, ", retries_text(limits)));
  if (known.facts != nullptr) known.facts->breakers(name, lines);
}

}  // namespace pillion::cli
