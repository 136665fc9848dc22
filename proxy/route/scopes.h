#pragma once
// Scoped routes: headers of a request choose its route table, before its host and path choose the
// route (ScopedRoutes of HttpConnectionManager.v3, envoy.config.route.v3.ScopedRouteConfiguration).
//
//   ScopeKeyBuilder   of one connection manager: which part of which header is which fragment
//   ScopeConfig       a ScopedRouteConfiguration: the key it has, the table it names or brings
//   ScopeTable        scopes by their keys, with the tables that are in force
//
// All are immutable and shared by workers.  Finding a scope allocates nothing: a key is views into
// the request's head.  Fragments are compared as they are, upper and lower case.

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proxy/config/node.h"
#include "proxy/http/message.h"
#include "proxy/route/parse.h"
#include "proxy/route/route_table.h"

namespace pillion::route {

inline constexpr size_t kMaxScopeFragments = 16;

struct ScopeKey {
  std::array<std::string_view, kMaxScopeFragments> fragments;
  size_t size = 0;
};

class ScopeKeyBuilder {
 public:
  // HeaderValueExtractor.
  struct Fragment {
    std::string header;             // lower case; ":authority" and the like, too
    std::string element_separator;  // empty: the value is one element
    uint32_t index = 0;             // of the element that is the fragment; or
    std::string key;                // if `separator` is set: of the first element "key=value"
    std::string separator;
  };
  explicit ScopeKeyBuilder(std::vector<Fragment> fragments) : fragments_(std::move(fragments)) {}

  // False: a header or element is missing, so the request belongs to no scope.  Of a header that is
  // repeated the first value counts, as in Envoy.
  [[nodiscard]] bool build(const http::RequestHead& head, ScopeKey& out) const;
  // For people: the key, or what it lacks.
  [[nodiscard]] std::string explain(const http::RequestHead& head) const;
  [[nodiscard]] size_t size() const noexcept { return fragments_.size(); }

 private:
  std::vector<Fragment> fragments_;
};

struct ScopeConfig {
  std::string name;
  std::vector<std::string> key;
  std::string rds_name;                     // route_configuration_name; or
  std::shared_ptr<const RouteTable> table;  // route_configuration
  bool on_demand = false;  // RDS is asked for rds_name when a request needs it, not before
  std::shared_ptr<const UseMark> use;  // if so
  uint64_t hash = 0;
};

class ScopeTable {
 public:
  struct Scope {
    std::shared_ptr<const ScopeConfig> config;
    std::shared_ptr<const RouteTable> table;  // null: RDS has said nothing under its name
  };
  // Of scopes with equal keys the first one counts.
  explicit ScopeTable(std::vector<Scope> scopes);

  // Null: none has this key.  Marks what it finds as used.
  [[nodiscard]] const Scope* find(const ScopeKey& key) const;
  [[nodiscard]] const std::vector<Scope>& scopes() const noexcept { return scopes_; }
  [[nodiscard]] uint64_t hash() const noexcept { return hash_; }

 private:
  [[nodiscard]] const Scope* look_up(const ScopeKey& key) const;

  std::vector<Scope> scopes_;
  std::unordered_multimap<uint64_t, uint32_t> by_key_;  // hash of a key -> index of scopes_
  uint64_t hash_ = 0;
};

// ScopeKeyBuilder, and ScopedRouteConfiguration, from the fields of their messages; errors go to
// the node's list.
ScopeKeyBuilder parse_scope_keys(const config::Node& node);
std::shared_ptr<const ScopeConfig> parse_scope(const config::Node& node,
                                               const ParseOptions& options);

}  // namespace pillion::route
