#pragma once
// RouteTable: a RouteConfiguration, compiled.  Which virtual host and route a request takes, and
// what that changes in its head and in the response's.
//
// Immutable, shared by all workers.  A stream pins the table as long as it holds a RouteMatch or a
// head that was finalized: names and values of added headers are views into the table.  At run time
// nothing is allocated but from arenas.
//
//   parse_route_table (parse.h) -> match() -> cluster_name() -> finalize_request()
//       -> [upstream] -> finalize_response();  or redirect_location(), or the direct response

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http/message.h"
#include "proxy/route/domain_table.h"
#include "proxy/route/route.h"

namespace pillion::config {
struct ConfigSource;
}

namespace pillion::route {

// Empty: no route.  Valid as long as its table.
struct RouteMatch {
  const VirtualHost* host = nullptr;
  const Route* route = nullptr;
  const WeightedCluster* weighted = nullptr;  // the share that was drawn

  explicit operator bool() const noexcept { return route != nullptr; }
};

class RouteTable {
 public:
  // What parse_route_table() fills in.
  struct Parts {
    std::string name;
    std::vector<VirtualHost> hosts;
    DomainTable domains;  // numbers are indices of `hosts`
    std::shared_ptr<const LevelMutations> mutations;
    std::shared_ptr<const FilterOverrides> filters;
    bool ignore_port_in_host = false;
    bool ignore_path_parameters = false;
    bool most_specific_wins = false;
    // Further virtual hosts come by VHDS: its initial_fetch_timeout.
    std::optional<Duration> vhds_timeout;
    std::shared_ptr<const config::ConfigSource> vhds_source;  // who is asked; null: ads
    uint32_t max_direct_response_bytes = 4096;
    uint64_t hash = 0;  // of what it was configured with
  };
  explicit RouteTable(Parts parts);
  RouteTable(const RouteTable&) = delete;
  RouteTable& operator=(const RouteTable&) = delete;

  // The same with these virtual hosts of VHDS behind its own, which are shared.  A domain that one
  // before it has stays that one's.
  [[nodiscard]] std::shared_ptr<const RouteTable> with_hosts(
      const std::vector<std::shared_ptr<const VirtualHost>>& more) const;

  // The first route of the request's virtual host that matches.  `random`: 64 random bits, for
  // fractions and weights.  `tls`: the client's request came by https (require_tls).
  [[nodiscard]] RouteMatch match(const http::RequestHead& head, uint64_t random, bool tls) const;
  // Null if no domain fits.
  [[nodiscard]] const VirtualHost* find_host(std::string_view authority) const;

  [[nodiscard]] std::string_view name() const noexcept { return parts_.name; }
  [[nodiscard]] uint64_t hash() const noexcept { return parts_.hash; }
  [[nodiscard]] const std::vector<VirtualHost>& hosts() const noexcept { return parts_.hosts; }
  [[nodiscard]] bool has_vhds() const noexcept { return parts_.vhds_timeout.has_value(); }
  [[nodiscard]] Duration vhds_timeout() const noexcept {
    return parts_.vhds_timeout.value_or(Duration{});
  }
  [[nodiscard]] const std::shared_ptr<const config::ConfigSource>& vhds_source() const noexcept {
    return parts_.vhds_source;
  }
  // Does a host of it have this very domain?
  [[nodiscard]] bool has_domain(std::string_view domain) const {
    return parts_.domains.find_domain(domain).has_value();
  }
  [[nodiscard]] uint32_t max_direct_response_bytes() const noexcept {
    return parts_.max_direct_response_bytes;
  }
  [[nodiscard]] const LevelMutations* mutations() const noexcept { return parts_.mutations.get(); }
  [[nodiscard]] const FilterOverrides* filters() const noexcept { return parts_.filters.get(); }
  [[nodiscard]] bool ignores_path_parameters() const noexcept {
    return parts_.ignore_path_parameters;
  }
  [[nodiscard]] bool most_specific_wins() const noexcept { return parts_.most_specific_wins; }

  // What domains are held against: without the port if that is ignored.
  [[nodiscard]] std::string_view matched_authority(const http::RequestHead& head) const noexcept;
  // What the paths of its routes are held against: without the query, and without parameters if
  // those are ignored.  Filters that judge paths must see the same.
  [[nodiscard]] std::string_view matched_path(const http::RequestHead& head) const;

  // For `pillion explain`: one line a fact, why this host and this route, and why none before it.
  [[nodiscard]] std::vector<std::string> explain(const http::RequestHead& head, uint64_t random,
                                                 bool tls) const;

 private:
  Parts parts_;
  Route https_redirect_;  // where require_tls sends plain requests
};

// ---- of a match whose route forwards ----

// The cluster to use; empty if a header had to name it and does not.
std::string_view cluster_name(const RouteMatch& match, const http::RequestHead& head);

// Header mutations of all levels, then the authority, then the path.  What is replaced is told in
// x-envoy-original-host and x-envoy-original-path if `envoy_headers` (off with the router's
// suppress_envoy_headers).
void finalize_request(const RouteMatch& match, http::RequestHead& head, const void* format_context,
                      bool envoy_headers = true);

// For auto_host_rewrite, once the upstream host is known: its name becomes the authority.  Nothing
// happens if the route does not ask for it or the name is empty.  Call it for each attempt; the
// first one notes the client's authority in x-forwarded-host, if the route asks for that, and in
// x-envoy-original-host.
void rewrite_host(const RouteMatch& match, http::RequestHead& head, std::string_view hostname,
                  bool first_attempt, bool envoy_headers = true);

// Is this upgrade ("websocket"; "connect" for CONNECT) told of by the route, and how?
enum class UpgradeVerdict : uint8_t { kUnsaid, kAllowed, kForbidden };
UpgradeVerdict find_upgrade(const RouteMatch& match, std::string_view type) noexcept;
// Does a CONNECT that the route allows end here (connect_config)?
bool terminates_connect(const RouteMatch& match) noexcept;

// ---- of any match; replies that routes make are finalized too ----

// Header mutations of all levels.
void finalize_response(const RouteMatch& match, http::ResponseHead& head,
                       const void* format_context);

// Value of Location for a route of kind kRedirect; its status is match.route->redirect->status.
// The match is of this head, which is not changed; the text is in the arena.
std::string_view redirect_location(const RouteMatch& match, const http::RequestHead& head,
                                   Arena& arena);

}  // namespace pillion::route
