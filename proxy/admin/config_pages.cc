// /config_dump: what is really in force, resource by resource, in Envoy's ConfigDump.

#include <algorithm>
#include <array>
#include <tuple>

#include "proxy/admin/config_json.h"
#include "proxy/admin/pages.h"
#include "proxy/base/str.h"

namespace pillion::admin {
namespace {

// One message of the dump; a section lists the static and the dynamic resources of a kind.
struct Section {
  ConfigResource::Kind kind;
  std::string_view dump;  // message in envoy.admin.v3
  std::string_view static_list;
  std::string_view dynamic_list;
  std::string_view field;          // that holds the resource
  std::string_view resource_type;  // its message
  bool only_with_eds;
};
using Kind = ConfigResource::Kind;
constexpr std::array kSections = {
    Section{Kind::kBootstrap, "BootstrapConfigDump", "bootstrap", "", "bootstrap",
            "envoy.config.bootstrap.v3.Bootstrap", false},
    Section{Kind::kCluster, "ClustersConfigDump", "static_clusters", "dynamic_active_clusters",
            "cluster", "envoy.config.cluster.v3.Cluster", false},
    Section{Kind::kEndpoints, "EndpointsConfigDump", "static_endpoint_configs",
            "dynamic_endpoint_configs", "endpoint_config",
            "envoy.config.endpoint.v3.ClusterLoadAssignment", true},
    Section{Kind::kListener, "ListenersConfigDump", "static_listeners", "dynamic_listeners",
            "listener", "envoy.config.listener.v3.Listener", false},
    Section{Kind::kRoute, "RoutesConfigDump", "static_route_configs", "dynamic_route_configs",
            "route_config", "envoy.config.route.v3.RouteConfiguration", false},
    Section{Kind::kSecret, "SecretsConfigDump", "static_secrets", "dynamic_active_secrets",
            "secret", "envoy.extensions.transport_sockets.tls.v3.Secret", false},
};

// Clusters that wait stand in a list of their own.
std::string_view list_of(const Section& section, const ConfigResource& resource) {
  if (!resource.is_dynamic) return section.static_list;
  const bool is_warming_cluster = section.kind == Kind::kCluster && resource.is_warming;
  return is_warming_cluster ? "dynamic_warming_clusters" : section.dynamic_list;
}

void write_failure(JsonWriter& json, const ConfigFailure& failure, std::string_view when_field) {
  json.begin_object().field(when_field, utc_text(failure.when));
  json.field("details", failure.details);
  if (!failure.version.empty()) json.field("version_info", failure.version);
  json.end_object();
}

void write_value(JsonWriter& json, const Section& section, const ConfigResource& resource) {
  json.begin_object();
  if (section.kind != Kind::kBootstrap) {
    json.field("@type", str("type.googleapis.com/", section.resource_type));
  }
  if (resource.value != nullptr) {
    write_redacted_fields(json, *resource.value);
  } else if (resource.make_document != nullptr) {
    if (const auto document = resource.make_document(); document != nullptr)
      write_redacted_fields(json, document->root_value());
  }
  json.end_object();
}

bool has_value(const ConfigResource& resource) {
  return resource.value != nullptr || resource.make_document != nullptr;
}

// The fields of an entry of a section's list, into an open object.
void write_entry(JsonWriter& json, const Section& section, const ConfigResource& resource) {
  const bool has_state = resource.is_dynamic && section.kind == Kind::kListener;
  const bool has_name = has_state || section.kind == Kind::kSecret;
  if (has_name) json.field("name", resource.name);
  // What was refused from the start has no state, only an error.
  if (has_value(resource)) {
    if (has_state) json.key(resource.is_warming ? "warming_state" : "active_state").begin_object();
    if (!resource.version.empty()) json.field("version_info", resource.version);
    json.key(section.field);
    write_value(json, section, resource);
    json.field("last_updated", utc_text(resource.last_updated));
    if (has_state) json.end_object();
  }
  if (resource.error_state) {
    json.key("error_state");
    write_failure(json, *resource.error_state, "last_update_attempt");
  }
}

// The whole dump; writes one resource after the other.
class ConfigDump final : public stats::TextSource {
 public:
  ConfigDump(const ServerView& view, std::vector<ConfigResource> resources, bool with_eds)
      : view_(view), resources_(std::move(resources)), with_eds_(with_eds) {
    // By section, static before dynamic, else in the order of the configuration.
    std::stable_sort(resources_.begin(), resources_.end(),
                     [](const ConfigResource& a, const ConfigResource& b) {
                       return std::tuple(section_of(a), a.is_dynamic, a.is_warming) <
                              std::tuple(section_of(b), b.is_dynamic, b.is_warming);
                     });
    json_.begin_object().key("configs").begin_array();
  }

  bool next(std::string& out) override {
    while (section_ < kSections.size() && text_.size() < kPieceBytes) step();
    const bool is_last = section_ == kSections.size();
    if (is_last) end();
    out += text_;
    text_.clear();
    return !is_last;
  }

 private:
  static size_t section_of(const ConfigResource& resource) {
    size_t i = 0;
    while (i < kSections.size() && kSections[i].kind != resource.kind) ++i;
    return i;
  }

  // Writes one resource, or ends a section.
  void step() {
    const Section& section = kSections[section_];
    if (section.only_with_eds && !with_eds_) {
      while (at_ < resources_.size() && section_of(resources_[at_]) == section_) ++at_;
      ++section_;
      return;
    }
    if (!is_open_) {
      json_.begin_object().field("@type", str("type.googleapis.com/envoy.admin.v3.", section.dump));
      is_open_ = true;
    }
    if (at_ == resources_.size() || section_of(resources_[at_]) != section_) {
      if (!list_.empty()) json_.end_array();
      json_.end_object();
      list_ = {};
      is_open_ = false;
      ++section_;
      return;
    }
    const ConfigResource& resource = resources_[at_++];
    if (section.kind == Kind::kBootstrap) return write_entry(json_, section, resource);
    const std::string_view list = list_of(section, resource);
    if (list != list_) {
      if (!list_.empty()) json_.end_array();
      json_.key(list).begin_array();
      list_ = list;
    }
    json_.begin_object();
    write_entry(json_, section, resource);
    json_.end_object();
  }

  // What Envoy's dump has no place for stands beside `configs`, where its readers skip it.
  void end() {
    json_.end_array();
    if (const auto failure = view_.last_failed_reload()) {
      json_.key("last_failed");
      write_failure(json_, *failure, "last_update_attempt");
    }
    if (const auto fields = view_.unknown_fields(); !fields.empty()) {
      json_.key("unknown_fields").begin_object();
      for (const auto& [name, count] : fields) json_.field(name, count);
      json_.end_object();
    }
    json_.end_object();
  }

  const ServerView& view_;
  std::vector<ConfigResource> resources_;
  const bool with_eds_;
  size_t section_ = 0;
  size_t at_ = 0;
  bool is_open_ = false;
  std::string_view list_;  // that is open
  std::string text_;
  JsonWriter json_{text_};
};

// ?resource=static_clusters: the entries of one list, each as a message of its own.
class ResourceDump final : public stats::TextSource {
 public:
  ResourceDump(const Section& section, std::vector<ConfigResource> resources)
      : section_(section), resources_(std::move(resources)) {
    json_.begin_object().key("configs").begin_array();
  }
  bool next(std::string& out) override {
    for (; at_ < resources_.size() && text_.size() < kPieceBytes; ++at_) {
      json_.begin_object().field("@type",
                                 str("type.googleapis.com/envoy.admin.v3.", section_.dump));
      write_entry(json_, section_, resources_[at_]);
      json_.end_object();
    }
    const bool is_last = at_ == resources_.size();
    if (is_last) json_.end_array().end_object();
    out += text_;
    text_.clear();
    return !is_last;
  }

 private:
  const Section& section_;
  const std::vector<ConfigResource> resources_;
  size_t at_ = 0;
  std::string text_;
  JsonWriter json_{text_};
};

void show_config(const PageContext& context, const Request& request, Response& response) {
  if (request.has("mask")) {
    return response.fail(400, "mask is not supported; use resource and name_regex\n");
  }
  std::shared_ptr<const stats::NameFilter> filter;
  if (!filter_param(context, request, "name_regex", filter, response)) return;
  std::vector<ConfigResource> resources = context.view.config();
  if (filter != nullptr) {
    std::erase_if(resources, [&](const ConfigResource& r) { return !filter->matches(r.name); });
  }
  response.content_type = kJson;
  const auto wanted = request.param("resource");
  if (!wanted) {
    response.stream = std::make_unique<ConfigDump>(context.view, std::move(resources),
                                                   request.has("include_eds"));
    return;
  }
  for (const Section& section : kSections) {
    const bool is_warming = section.kind == Kind::kCluster && *wanted == "dynamic_warming_clusters";
    const bool is_dynamic = *wanted == section.dynamic_list && !wanted->empty();
    if (*wanted != section.static_list && !is_dynamic && !is_warming) continue;
    std::erase_if(resources, [&](const ConfigResource& r) {
      return r.kind != section.kind || list_of(section, r) != *wanted;
    });
    response.stream = std::make_unique<ResourceDump>(section, std::move(resources));
    return;
  }
  response.content_type = kText;
  response.fail(404, str("resource ", *wanted, " not found\n"));
}

}  // namespace

void add_config_pages(Router& router, const PageContext& context) {
  router.add({"/config_dump",
              "dump current configuration, without secrets",
              {{"resource", "The list to dump, such as static_clusters"},
               {"name_regex", "Dump only resources whose names match the regular expression"},
               {"include_eds", "Dump endpoints too", {}, true}},
              false,
              [context](const Request& request, Response& response) {
                show_config(context, request, response);
              }});
}

}  // namespace pillion::admin
