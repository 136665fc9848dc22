#pragma once
// A proxy that the admin pages can look at and command.

#include <string>
#include <utility>
#include <vector>

#include "proxy/admin/server_view.h"

namespace pillion::admin {

class FakeServer final : public ServerView, public ServerActions {
 public:
  ServerState server_state = ServerState::kLive;
  std::vector<ClusterStatus> clusters;
  std::vector<ListenerStatus> listener_list;
  std::vector<CertificatesStatus> certificate_list;
  std::vector<ConfigResource> resources, missing_resources;
  std::string clusters_version;
  std::vector<Wait> wait_list;
  std::map<std::string, std::string> texts;
  std::optional<ConfigFailure> failure;
  config::UnknownFieldMap tolerated;
  RuntimeStatus runtime_status;
  bool has_admin_layer = false;
  std::vector<std::pair<std::string, std::string>> modified;  // by /runtime_modify
  std::vector<std::pair<std::string, std::string>> logger_levels = {{"config", "info"},
                                                                    {"main", "info"}};
  std::vector<std::string> done;  // actions, in order

  ServerState state() const override { return server_state; }
  std::string version() const override { return "pillion/1.2.3"; }
  std::chrono::seconds uptime() const override { return std::chrono::seconds(53); }
  void write_command_line(JsonWriter& json) const override { json.field("concurrency", 2); }
  void write_node(JsonWriter& json) const override { json.field("id", "n\"1"); }
  std::vector<std::string> cluster_names() const override {
    std::vector<std::string> names;
    for (const ClusterStatus& c : clusters) names.push_back(c.name);
    return names;
  }
  bool cluster(std::string_view name, ClusterStatus& out) const override {
    for (const ClusterStatus& c : clusters) {
      if (c.name == name) return out = c, true;
    }
    return false;
  }
  std::vector<ListenerStatus> listeners() const override { return listener_list; }
  std::vector<CertificatesStatus> certificates() const override { return certificate_list; }
  std::vector<ConfigResource> config(ConfigResource::Kind kind) const override {
    return of_kind(resources, kind);
  }
  std::vector<ConfigResource> missing(ConfigResource::Kind kind) const override {
    return of_kind(missing_resources, kind);
  }
  std::string config_version(ConfigResource::Kind kind) const override {
    return kind == ConfigResource::Kind::kCluster ? clusters_version : std::string();
  }
  std::vector<Wait> waits() const override { return wait_list; }
  std::map<std::string, std::string> text_readouts() const override { return texts; }
  std::optional<ConfigFailure> last_failed_reload() const override { return failure; }
  config::UnknownFieldMap unknown_fields() const override { return tolerated; }
  RuntimeStatus runtime() const override { return runtime_status; }
  std::vector<std::pair<std::string, std::string>> loggers() const override {
    return logger_levels;
  }

  void drain_listeners(const DrainRequest& r) override {
    done.push_back(std::string("drain") + (r.inbound_only ? " inbound" : "") +
                   (r.graceful ? " graceful" : "") + (r.skip_exit ? " skip_exit" : ""));
  }
  void fail_health_check(bool fail) override { done.push_back(fail ? "fail" : "ok"); }
  void quit() override { done.push_back("quit"); }
  void reopen_logs() override { done.push_back("reopen"); }
  Status<> modify_runtime(const std::vector<std::pair<std::string, std::string>>& values) override {
    if (!has_admin_layer) return Error<std::string>{"No admin layer specified"};
    modified = values;
    return Ok{};
  }
  bool set_log_level(std::string_view logger, std::string_view level) override {
    for (auto& [name, have] : logger_levels) {
      if (logger.empty() || name == logger) have = level;
    }
    return true;
  }

 private:
  static std::vector<ConfigResource> of_kind(const std::vector<ConfigResource>& all,
                                             ConfigResource::Kind kind) {
    std::vector<ConfigResource> out;
    for (const ConfigResource& one : all) {
      if (one.kind == kind) out.push_back(one);
    }
    return out;
  }
};

}  // namespace pillion::admin
