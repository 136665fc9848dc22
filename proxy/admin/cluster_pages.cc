// /clusters, one cluster at a time.

#include "proxy/admin/pages.h"
#include "proxy/base/str.h"

namespace pillion::admin {
namespace {

// "/failed_active_hc/failed_outlier_check", or "healthy".
std::string health_flags(const HostStatus& host) {
  std::string out;
  if (host.failed_active_health_check) out += "/failed_active_hc";
  if (host.failed_outlier_check) out += "/failed_outlier_check";
  if (host.failed_eds_health) out += "/failed_eds_health";
  if (host.degraded) out += "/degraded_active_hc";
  if (host.eds_degraded) out += "/degraded_eds_health";
  if (host.pending_dynamic_removal) out += "/pending_dynamic_removal";
  if (host.pending_active_health_check) out += "/pending_active_hc";
  if (host.excluded_via_immediate_hc_fail) out += "/excluded_via_immediate_hc_fail";
  if (host.active_hc_timeout) out += "/active_hc_timeout";
  return out.empty() ? "healthy" : out;
}

// Names of files and hosts come from outside; a line of /clusters must stay one line.
std::string one_line(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '_';
  }
  return out;
}

void write_text(const CircuitBreakerStatus& limits, std::string_view begin, std::string& out) {
  out += str(begin, "max_connections::", limits.max_connections, "\n");
  out += str(begin, "max_pending_requests::", limits.max_pending_requests, "\n");
  out += str(begin, "max_requests::", limits.max_requests, "\n");
  out += str(begin, "max_retries::", limits.max_retries, "\n");
}

void write_text(const HostStatus& host, std::string_view cluster, std::string& out) {
  const std::string begin = str(cluster, "::", one_line(host.address.to_string()), "::");
  const auto line = [&](std::string_view name, const auto& value) {
    out += str(begin, name, "::", value, "\n");
  };
  line("cx_active", host.cx_active);
  line("cx_connect_fail", host.cx_connect_fail);
  line("cx_total", host.cx_total);
  line("rq_active", host.rq_active);
  line("rq_error", host.rq_error);
  line("rq_pending_active", host.rq_pending_active);
  line("rq_success", host.rq_success);
  line("rq_timeout", host.rq_timeout);
  line("rq_total", host.rq_total);
  line("hostname", one_line(host.hostname));
  line("health_flags", health_flags(host));
  line("weight", host.weight);
  line("region", one_line(host.region));
  line("zone", one_line(host.zone));
  line("sub_zone", one_line(host.sub_zone));
  line("canary", host.canary);
  line("priority", host.priority);
  line("success_rate", host.success_rate);
  line("local_origin_success_rate", host.local_origin_success_rate);
}

void write_text(const ClusterStatus& cluster, std::string& out) {
  const std::string name = one_line(cluster.name);
  out += str(name, "::observability_name::", one_line(cluster.observability_name), "\n");
  if (cluster.outlier) {
    const OutlierStatus& o = *cluster.outlier;
    const std::string begin = name + "::outlier::";
    out += str(begin, "success_rate_average::", o.success_rate_average, "\n");
    out += str(begin, "success_rate_ejection_threshold::", o.success_rate_threshold, "\n");
    out += str(begin, "local_origin_success_rate_average::", o.local_success_rate_average, "\n");
    out +=
        str(begin, "local_origin_success_rate_ejection_threshold::", o.local_success_rate_threshold,
            "\n");
  }
  write_text(cluster.default_priority, name + "::default_priority::", out);
  write_text(cluster.high_priority, name + "::high_priority::", out);
  out += str(name, "::added_via_api::", cluster.added_via_api, "\n");
  if (!cluster.eds_service_name.empty()) {
    out += str(name, "::eds_service_name::", one_line(cluster.eds_service_name), "\n");
  }
  for (const HostStatus& host : cluster.hosts) write_text(host, name, out);
}

void write_stat(JsonWriter& json, std::string_view name, uint64_t value, bool is_gauge) {
  json.begin_object();
  if (is_gauge) json.field("type", "GAUGE");
  if (value != 0) json.key("value").value_as_string(value);  // proto3: 0 is left out
  json.field("name", name).end_object();
}

void write_health(JsonWriter& json, const HostStatus& host) {
  json.key("health_status").begin_object();
  const auto flag = [&json](std::string_view name, bool is_set) {
    if (is_set) json.field(name, true);
  };
  flag("failed_active_health_check", host.failed_active_health_check);
  flag("failed_outlier_check", host.failed_outlier_check);
  flag("failed_active_degraded_check", host.degraded);
  flag("pending_dynamic_removal", host.pending_dynamic_removal);
  flag("pending_active_hc", host.pending_active_health_check);
  flag("excluded_via_immediate_hc_fail", host.excluded_via_immediate_hc_fail);
  flag("active_hc_timeout", host.active_hc_timeout);
  json.field("eds_health_status", host.failed_eds_health ? "UNHEALTHY"
                                  : host.eds_degraded    ? "DEGRADED"
                                                         : "HEALTHY");
  json.end_object();
}

void write_json(const HostStatus& host, JsonWriter& json) {
  json.begin_object().key("address").begin_object();
  write_address(json, host.address);
  json.end_object().key("stats").begin_array();
  write_stat(json, "cx_connect_fail", host.cx_connect_fail, false);
  write_stat(json, "cx_total", host.cx_total, false);
  write_stat(json, "rq_error", host.rq_error, false);
  write_stat(json, "rq_success", host.rq_success, false);
  write_stat(json, "rq_timeout", host.rq_timeout, false);
  write_stat(json, "rq_total", host.rq_total, false);
  write_stat(json, "cx_active", host.cx_active, true);
  write_stat(json, "rq_active", host.rq_active, true);
  write_stat(json, "rq_pending_active", host.rq_pending_active, true);
  json.end_array();
  write_health(json, host);
  if (host.success_rate >= 0) {
    json.key("success_rate").begin_object().field("value", host.success_rate).end_object();
  }
  json.field("weight", host.weight);
  if (!host.hostname.empty()) json.field("hostname", host.hostname);
  if (host.priority != 0) json.field("priority", host.priority);
  if (host.local_origin_success_rate >= 0) {
    json.key("local_origin_success_rate").begin_object();
    json.field("value", host.local_origin_success_rate).end_object();
  }
  json.key("locality").begin_object();
  if (!host.region.empty()) json.field("region", host.region);
  if (!host.zone.empty()) json.field("zone", host.zone);
  if (!host.sub_zone.empty()) json.field("sub_zone", host.sub_zone);
  json.end_object().end_object();
}

void write_json(const CircuitBreakerStatus& limits, bool is_high, JsonWriter& json) {
  json.begin_object();
  if (is_high) json.field("priority", "HIGH");
  json.field("max_connections", limits.max_connections);
  json.field("max_pending_requests", limits.max_pending_requests);
  json.field("max_requests", limits.max_requests);
  json.field("max_retries", limits.max_retries).end_object();
}

void write_json(const ClusterStatus& cluster, JsonWriter& json) {
  json.begin_object().field("name", cluster.name);
  if (cluster.added_via_api) json.field("added_via_api", true);
  const auto threshold = [&json](std::string_view key, double value) {
    if (value >= 0) json.key(key).begin_object().field("value", value).end_object();
  };
  if (cluster.outlier) {
    threshold("success_rate_ejection_threshold", cluster.outlier->success_rate_threshold);
    threshold("local_origin_success_rate_ejection_threshold",
              cluster.outlier->local_success_rate_threshold);
  }
  json.key("host_statuses").begin_array();
  for (const HostStatus& host : cluster.hosts) write_json(host, json);
  json.end_array().key("circuit_breakers").begin_object().key("thresholds").begin_array();
  write_json(cluster.default_priority, false, json);
  write_json(cluster.high_priority, true, json);
  json.end_array().end_object();
  json.field("observability_name", cluster.observability_name);
  if (!cluster.eds_service_name.empty()) json.field("eds_service_name", cluster.eds_service_name);
  json.end_object();
}

class Clusters final : public stats::TextSource {
 public:
  Clusters(const ServerView& view, std::vector<std::string> names, bool is_json)
      : view_(view), names_(std::move(names)), is_json_(is_json) {
    if (is_json_) json_.begin_object().key("cluster_statuses").begin_array();
  }

  bool next(std::string& out) override {
    while (at_ < names_.size() && text_.size() < kPieceBytes) {
      ClusterStatus cluster;
      if (!view_.cluster(names_[at_++], cluster)) continue;
      if (is_json_) {
        write_json(cluster, json_);
      } else {
        write_text(cluster, text_);
      }
    }
    const bool is_last = at_ == names_.size();
    if (is_last && is_json_) json_.end_array().end_object();
    out += text_;
    text_.clear();
    return !is_last;
  }

 private:
  const ServerView& view_;
  const std::vector<std::string> names_;
  const bool is_json_;
  size_t at_ = 0;
  std::string text_;
  JsonWriter json_{text_};
};

void show_clusters(const PageContext& context, const Request& request, Response& response) {
  const std::string_view format = request.param("format").value_or("text");
  if (format != "text" && format != "json") {
    return response.fail(400, "usage: /clusters?format=(text|json)\n");
  }
  std::shared_ptr<const stats::NameFilter> filter;
  if (!filter_param(context, request, "filter", filter, response)) return;
  std::vector<std::string> names = context.view.cluster_names();
  if (filter != nullptr) {
    std::erase_if(names, [&](const std::string& name) { return !filter->matches(name); });
  }
  const bool is_json = format == "json";
  response.content_type = is_json ? kJson : kText;
  response.stream = std::make_unique<Clusters>(context.view, std::move(names), is_json);
}

}  // namespace

void add_cluster_pages(Router& router, const PageContext& context) {
  router.add({"/clusters",
              "upstream cluster status",
              {{"filter", "Regular expression (Google re2) for filtering clusters by name"},
               {"format", "File format to use", {"text", "json"}}},
              false,
              [context](const Request& request, Response& response) {
                show_clusters(context, request, response);
              }});
}

}  // namespace pillion::admin
