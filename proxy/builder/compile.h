#pragma once
// Compiler: Node -> compiled piece of a configuration.  Internal to the builder.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/builder/builder.h"
#include "proxy/builder/resources.h"
#include "proxy/core/parse.h"
#include "proxy/telemetry/header_formats.h"

namespace pillion {

// What the parsers of listeners and routes are given.  `resources` is where RDS names are looked
// up; it may change between two calls.
class Compiler final : private core::ParseServices {
 public:
  // `node_id`: what tracers call this process; `node_cluster`: what the health_check filter does.
  Compiler(const Sinks& sinks, std::string node_id, std::string node_cluster,
           const Resources& resources)
      : sinks_(sinks),
        node_id_(std::move(node_id)),
        node_cluster_(std::move(node_cluster)),
        resources_(resources) {}

  CompiledCluster cluster(const config::Node& node, Origin origin);
  CompiledRoutes routes(const config::Node& node, Origin origin);
  // `must_exist`: gets the clusters that must, with their places; null: that is not looked at, and
  // the result has all that are named.
  CompiledListener listener(const config::Node& node, Origin origin,
                            std::vector<config::Located<std::string>>* must_exist = nullptr);
  // Of a resource that was not in the file: whoever it names to ask must be one of the file's
  // clusters.  Null: ads.
  void check_source(const config::ConfigSource* source, config::Errors& errors) const;
  // A resource of ECDS: a filter of a type that all who name it take.
  CompiledExtension extension(const config::Node& node, Origin origin);
  static CompiledRuntimeLayer runtime_layer(const config::Node& node, Origin origin);
  // The listener with the extensions that are in force now, of the names for which others are.
  std::shared_ptr<const CompiledListener> with_extensions(
      const std::shared_ptr<const CompiledListener>& listener);
  // What is in force under an ECDS name, or null.
  [[nodiscard]] std::shared_ptr<const CompiledExtension> extension(std::string_view name) const;
  // By VHDS; `reply_limit`: its table's max_direct_response_body_size_bytes.
  CompiledVirtualHost virtual_host(const config::Node& node, Origin origin, uint32_t reply_limit);
  CompiledScope scope(const config::Node& node, Origin origin);
  // The table in force under an RDS name, or null.
  [[nodiscard]] std::shared_ptr<const route::RouteTable> table(std::string_view name) const;

 private:
  std::vector<std::shared_ptr<const core::AccessLogger>> access_logs(
      const config::Node& list) override;
  std::shared_ptr<const core::LocalReplies> local_replies(const config::Node& node) override;
  const route::FormatFactory& header_formats() override { return formats_; }
  std::span<const core::HttpFilterType> http_filters() override;
  std::span<const core::NetworkFilterType> network_filters() override;
  [[nodiscard]] std::string_view node_cluster() const override { return node_cluster_; }
  std::shared_ptr<const route::RouteTable> routes(std::string_view name) override {
    return table(name);
  }

  core::HttpExtension http_extension(std::string_view name) override;
  core::NetworkExtension network_extension(std::string_view name) override;
  core::ListenerExtension listener_extension(std::string_view name) override;
  std::shared_ptr<const route::ScopeTable> scopes() override { return resources_.scope_table; }

  std::shared_ptr<const core::Tracer> tracer(
      const config::Node& node, bool is_outbound,
      std::vector<config::Located<std::string>>& clusters) override;

  const Sinks sinks_;
  const std::string node_id_;
  const std::string node_cluster_;
  const Resources& resources_;
  telemetry::HeaderFormats formats_;
};

}  // namespace pillion
