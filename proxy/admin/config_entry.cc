#include "proxy/admin/config_entry.h"

#include <algorithm>
#include <array>

#include "proxy/base/str.h"

namespace pillion::admin {
namespace {

using Kind = ConfigResource::Kind;

constexpr DumpList kClusters[] = {{"static_clusters", "StaticCluster", false, false},
                                  {"dynamic_active_clusters", "DynamicCluster", true, false},
                                  {"dynamic_warming_clusters", "DynamicCluster", true, true}};
constexpr DumpList kExtensions[] = {{"ecds_filters", "EcdsFilterConfig", true, false}};
constexpr DumpList kEndpoints[] = {
    {"static_endpoint_configs", "StaticEndpointConfig", false, false},
    {"dynamic_endpoint_configs", "DynamicEndpointConfig", true, false}};
constexpr DumpList kListeners[] = {{"static_listeners", "StaticListener", false, false},
                                   {"dynamic_listeners", "DynamicListener", true, false}};
constexpr DumpList kScopedRoutes[] = {
    {"inline_scoped_route_configs", "InlineScopedRouteConfigs", false, false},
    {"dynamic_scoped_route_configs", "DynamicScopedRouteConfigs", true, false}};
constexpr DumpList kRoutes[] = {{"static_route_configs", "StaticRouteConfig", false, false},
                                {"dynamic_route_configs", "DynamicRouteConfig", true, false}};
constexpr DumpList kSecrets[] = {{"static_secrets", "StaticSecret", false, false},
                                 {"dynamic_active_secrets", "DynamicSecret", true, false},
                                 {"dynamic_warming_secrets", "DynamicSecret", true, true}};

constexpr std::array kSections = {
    DumpSection{Kind::kBootstrap, "BootstrapConfigDump", {}, "bootstrap", "", false, false, false},
    DumpSection{Kind::kCluster, "ClustersConfigDump", kClusters, "cluster",
                "envoy.config.cluster.v3.Cluster", true, false, false},
    DumpSection{Kind::kExtension, "EcdsConfigDump", kExtensions, "ecds_filter",
                "envoy.config.core.v3.TypedExtensionConfig", false, false, true},
    DumpSection{Kind::kEndpoints, "EndpointsConfigDump", kEndpoints, "endpoint_config",
                "envoy.config.endpoint.v3.ClusterLoadAssignment", false, true, false},
    DumpSection{Kind::kListener, "ListenersConfigDump", kListeners, "listener",
                "envoy.config.listener.v3.Listener", true, false, false},
    DumpSection{Kind::kScopedRoute, "ScopedRoutesConfigDump", kScopedRoutes, "scoped_route_configs",
                "envoy.config.route.v3.ScopedRouteConfiguration", false, false, false},
    DumpSection{Kind::kRoute, "RoutesConfigDump", kRoutes, "route_config",
                "envoy.config.route.v3.RouteConfiguration", false, false, false},
    DumpSection{Kind::kSecret, "SecretsConfigDump", kSecrets, "secret",
                "envoy.extensions.transport_sockets.tls.v3.Secret", false, false, false},
};

constexpr std::string_view kBootstrapMessage = "envoy.config.bootstrap.v3.Bootstrap";

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

// Each is a list of one, as scopes come one by one.
bool is_list(const DumpSection& section) { return section.kind == Kind::kScopedRoute; }

bool has_name(const DumpSection& section, const DumpList& list) {
  return section.kind == Kind::kSecret || section.kind == Kind::kScopedRoute ||
         (section.kind == Kind::kListener && list.is_dynamic);
}

bool has_update_time(const DumpSection& section, const ConfigResource& resource) {
  return section.kind != Kind::kSecret || resource.is_dynamic;
}

std::string_view state_of(const ConfigResource& resource) {
  if (resource.is_draining) return "draining_state";
  return resource.is_warming ? "warming_state" : "active_state";
}

}  // namespace

std::span<const DumpSection> dump_sections() { return kSections; }

const DumpList* list_of(const DumpSection& section, const ConfigResource& resource) {
  const DumpList* best = nullptr;
  for (const DumpList& list : section.lists) {
    if (list.is_dynamic != resource.is_dynamic) continue;
    if (best == nullptr || list.is_warming == resource.is_warming) best = &list;
  }
  return best;
}

bool is_path_of(const DumpSection& section, std::string_view path, const HasField& has_field) {
  const auto [field, below] = split_path(path);
  if (section.lists.empty()) {
    if (field == section.field)
      return below.empty() || has_field == nullptr || has_field(kBootstrapMessage, below);
    return path == "last_updated";
  }
  if (!below.empty()) return false;
  return (section.has_version && field == "version_info") ||
         std::ranges::find(section.lists, field, &DumpList::name) != section.lists.end();
}

bool is_path_of(const DumpSection& section, const DumpList& list, std::string_view path,
                const HasField& has_field) {
  const auto [field, below] = split_path(path);
  if (section.kind == Kind::kListener && list.is_dynamic) {
    if (is_one_of(field, {"active_state", "warming_state", "draining_state"}))
      return is_one_of(below, {"", "version_info", "listener", "last_updated"});
  } else if (field == section.field) {
    if (is_list(section)) return below.empty();
    return !below.empty() && (has_field == nullptr || has_field(section.resource_message, below));
  }
  if (!below.empty()) return false;
  if (field == "name") return has_name(section, list);
  if (field == "last_updated") return section.kind != Kind::kListener || !list.is_dynamic;
  if (field == "version_info") return list.is_dynamic && section.kind != Kind::kListener;
  return list.is_dynamic && is_one_of(field, {"error_state", "client_status"});
}

const config::Value* value_of(const ConfigResource& resource,
                              std::shared_ptr<const config::Document>& keeps) {
  keeps = resource.make_document != nullptr ? resource.make_document() : resource.document;
  if (resource.make_document == nullptr) return resource.value;
  return keeps == nullptr ? nullptr : &keeps->root_value();
}

const config::Value* child(const config::Value* value, std::string_view field) {
  if (value == nullptr || value->kind != config::Kind::kMapping) return nullptr;
  for (const config::Value* v = value->first_child; v != nullptr; v = v->next) {
    if (config::is_same_field(*v->key, field)) return v;
  }
  return nullptr;
}

bool says_its_type(const config::Value& value) {
  return value.kind == config::Kind::kMapping && value.first_child != nullptr &&
         value.first_child->key->text == "@type";
}

const config::Value& resource_in(const config::Document& document, std::string_view name) {
  const config::Value& root = document.root_value();
  // No type that has a section has a field of that name.
  const config::Value* list = child(&root, "resources");
  if (list == nullptr || list->kind != config::Kind::kSequence) return root;
  for (const config::Value* item = list->first_child; item != nullptr; item = item->next) {
    const config::Value* wrapped = child(item, "resource");
    const config::Value& resource = wrapped != nullptr ? *wrapped : *item;
    for (const std::string_view field : {"name", "cluster_name"}) {
      const config::Value* named = child(&resource, field);
      if (named != nullptr && named->scalar() == name) return resource;
    }
  }
  return root;
}

// ---- EntryWriter ----

void EntryWriter::begin(const DumpSection& section, std::span<const ConfigResource> states,
                        const FieldMask::Node* mask) {
  section_ = &section;
  states_ = states;
  mask_ = mask;
  at_ = 0;
  phase_ = Phase::kHead;
}

bool EntryWriter::has_states() const noexcept {
  return section_->kind == Kind::kListener && states_.front().is_dynamic;
}

bool EntryWriter::step(size_t values) {
  switch (phase_) {
    case Phase::kHead:
      write_head();
      phase_ = Phase::kState;
      return true;
    case Phase::kState:
      begin_state();
      phase_ = Phase::kValue;
      return true;
    case Phase::kValue:
      if (is_in_value_ && value_.step(values)) return true;
      end_state();
      phase_ = ++at_ < states_.size() ? Phase::kState : Phase::kError;
      return true;
    case Phase::kError:
      begin_error();
      phase_ = Phase::kRefused;
      return true;
    case Phase::kRefused:
      if (is_in_value_ && value_.step(values)) return true;
      write_end();
      phase_ = Phase::kEnd;
      return false;
    case Phase::kEnd:
      break;
  }
  return false;
}

void EntryWriter::write_head() {
  const DumpList* list = list_of(*section_, states_.front());
  if (list != nullptr && has_name(*section_, *list) && shows(mask_, "name"))
    json_.field("name", states_.front().name);
}

// Up to the resource itself, of which only the first brace is written.
void EntryWriter::begin_state() {
  const ConfigResource& state = states_[at_];
  is_in_state_ = is_in_value_ = false;
  state_mask_ = mask_;
  const config::Value* value = value_of(state, rendered_);
  // What was refused from the start has no state, only an error.
  const bool is_nothing = value == nullptr && state.error_state && !state.is_draining;
  if (is_nothing) return;
  if (has_states()) {
    if (!shows(mask_, state_of(state), state_mask_)) return;
    json_.key(state_of(state)).begin_object();
    is_in_state_ = true;
  }
  if (!state.version.empty() && shows(state_mask_, "version_info"))
    json_.field("version_info", state.version);
  const FieldMask::Node* below = nullptr;
  if (value == nullptr || !shows(state_mask_, section_->field, below)) return;
  json_.key(section_->field);
  if (is_list(*section_)) json_.begin_array();
  begin_resource(*value, section_->resource_message);
  value_.begin_fields(*value, below);
}

void EntryWriter::begin_resource(const config::Value& value, std::string_view message) {
  json_.begin_object();
  if (!message.empty() && !says_its_type(value))
    json_.field("@type", str("type.googleapis.com/", message));
  is_in_value_ = true;
}

void EntryWriter::end_state() {
  const ConfigResource& state = states_[at_];
  if (is_in_value_) {
    json_.end_object();
    if (is_list(*section_)) json_.end_array();
  }
  const bool has_time = state.last_updated != WallTime{} && has_update_time(*section_, state) &&
                        (!has_states() || is_in_state_);
  if (has_time && shows(state_mask_, "last_updated"))
    json_.field("last_updated", utc_text(state.last_updated));
  if (is_in_state_) json_.end_object();
  is_in_value_ = false;
  rendered_ = nullptr;
}

void EntryWriter::begin_error() {
  // All states of a listener have the same.
  const std::optional<ConfigFailure>& failure = states_.front().error_state;
  if (!failure || !shows(mask_, "error_state")) return;
  json_.key("error_state").begin_object();
  if (failure->refused != nullptr) {
    json_.key("failed_configuration");
    const config::Value& refused = resource_in(*failure->refused, states_.front().name);
    begin_resource(refused, section_->resource_message);
    value_.begin_fields(refused, nullptr);
  }
}

void EntryWriter::write_end() {
  const ConfigResource& first = states_.front();
  if (is_in_value_) json_.end_object();
  if (first.error_state && shows(mask_, "error_state")) {
    json_.field("last_update_attempt", utc_text(first.error_state->when));
    json_.field("details", first.error_state->details);
    if (!first.error_state->version.empty())
      json_.field("version_info", first.error_state->version);
    json_.end_object();
  }
  const bool has_status = first.is_dynamic && first.client_status != ClientStatus::kUnknown;
  if (has_status && shows(mask_, "client_status"))
    json_.field("client_status", status_name(first.client_status));
  is_in_value_ = false;
}

}  // namespace pillion::admin
