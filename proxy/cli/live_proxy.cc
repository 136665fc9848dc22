#include "proxy/cli/live_proxy.h"

#include <algorithm>
#include <utility>

#include "proxy/admin/pages.h"
#include "proxy/base/clock.h"
#include "proxy/base/str.h"
#include "proxy/cli/dump_text.h"
#include "proxy/config/suggest.h"

namespace pillion::cli {
namespace {

constexpr size_t kMaxLeftovers = 10;  // lines; the rest is only counted

// Of lines that a peer wrote only what one line can hold.
std::string one_line(std::string_view text) {
  return config::printable(trim(text.substr(0, text.find('\n'))), 400);
}

Json field_of(const Json& entry, std::string_view field) {
  const Json state = entry["active_state"];
  return state.is_missing() ? entry[field] : state[field];
}

}  // namespace

Result<JsonDocument> LiveProxy::ask(std::string_view target) const {
  const auto answer = client_.get(target);
  if (!answer) return Error{answer.error()};
  const std::string_view page = target.substr(0, target.find('?'));
  const std::string where = config::printable(client_.url(), 200);
  if (answer->status == 403)
    return Error{
        str("the proxy at ", where, " does not show ", page, ": its admin.allow_paths forbids it")};
  if (answer->status != 200)
    return Error{str("the admin interface at ", where, " answers ", answer->status, " to ", page,
                     ": is it that of Pillion, or of Envoy?")};
  auto document = JsonDocument::parse(answer->body);
  if (!document)
    return Error{str("what ", where, page, " says is no JSON: is it an admin interface?")};
  return document;
}

Result<std::vector<Json>> LiveProxy::list(std::string_view name, std::string_view filter) {
  std::string target = str("/config_dump?resource=", name);
  if (!filter.empty()) target += str("&name_regex=", query_escape(filter));
  // An older version may not have the list.
  const auto answer = client_.get(target);
  if (answer && answer->status == 404) return std::vector<Json>();
  auto document = ask(target);
  if (!document) return Error{document.error()};
  kept_.push_back(std::move(*document));
  return kept_.back().root()["configs"].items();
}

void LiveProxy::read_note(const Json& entry, const Json& state, Note& note) {
  if (!state.is_missing()) {
    note.version = state["version_info"].as_string();
    note.updated = state["last_updated"].as_string();
    note.is_in_force = true;
  }
  if (const Json waiting = entry["warming_state"]; !waiting.is_missing())
    note.waiting = waiting["version_info"].as_string("?");
  const Json error = entry["error_state"];
  note.error = error["details"].as_string();
  note.error_version = error["version_info"].as_string();
}

config::DocumentPtr LiveProxy::document_of(const Json& resource, const std::string& place,
                                           std::string& why) const {
  const auto find = [this](std::string_view name) {
    const auto it = extensions_.find(name);
    return it == extensions_.end() ? Json() : it->second;
  };
  config::Errors errors;
  auto document = config::load_text(dump_text(resource, find), place, errors);
  if (document == nullptr || !errors.ok()) why = errors.to_string();
  return errors.ok() ? document : nullptr;
}

Status<> LiveProxy::load() {
  const auto info = ask("/server_info");
  if (!info) return Error{info.error()};
  const Json root = info->root();
  version_ = root["version"].as_string();
  state_ = root["state"].as_string();
  node_ = root["node"]["id"].as_string();
  if (version_.empty() || state_.empty())
    return Error{str("what answers at ", config::printable(client_.url(), 200),
                     " is no admin interface of Pillion or Envoy")};
  assembly_ = std::make_unique<Assembly>(node_, std::string(root["node"]["cluster"].as_string()));
  if (auto ok = load_extensions(); !ok) return ok;
  if (auto ok = load_routes(); !ok) return ok;
  if (auto ok = load_scopes(); !ok) return ok;
  if (auto ok = load_listeners(); !ok) return ok;
  snapshot_ = assembly_->finish();
  return Ok{};
}

Status<> LiveProxy::load_extensions() {
  const auto entries = list("ecds_filters");
  if (!entries) return Error{entries.error()};
  for (const Json& entry : *entries) {
    const Json filter = entry["ecds_filter"];
    extensions_[std::string(filter["name"].as_string())] = filter["typed_config"];
  }
  return Ok{};
}

template <typename Add>
void LiveProxy::take(const Json& resource, std::string_view kind, std::string_view name,
                     Add&& add) {
  std::string why;
  const auto document = document_of(resource, str(kind, '/', config::printable(name)), why);
  if (document != nullptr) {
    const Status<> added = add(document);
    if (!added) why = added.error();
  }
  if (!why.empty()) unreadable_.push_back(one_line(why));
}

Status<> LiveProxy::load_routes() {
  const auto entries = list("dynamic_route_configs");
  if (!entries) return Error{entries.error()};
  for (const Json& entry : *entries) {
    const Json routes = entry["route_config"];
    const std::string name(routes["name"].as_string());
    read_note(entry, routes.is_missing() ? Json() : entry, routes_[name]);
    if (routes.is_missing()) continue;
    take(routes, "rds", name, [this](const auto& made) { return assembly_->add_routes(made); });
  }
  return Ok{};
}

// Envoy's entries have all scopes of a connection manager, Pillion's one each.
Status<> LiveProxy::load_scopes() {
  const auto entries = list("dynamic_scoped_route_configs");
  if (!entries) return Error{entries.error()};
  for (const Json& entry : *entries) {
    for (const Json& scope : entry["scoped_route_configs"].items()) {
      const std::string name(scope["name"].as_string());
      read_note(entry, entry, scopes_[name]);
      take(scope, "srds", name, [this](const auto& made) { return assembly_->add_scope(made); });
    }
  }
  return Ok{};
}

Status<> LiveProxy::load_listeners() {
  for (const std::string_view which : {"static_listeners", "dynamic_listeners"}) {
    const auto entries = list(which);
    if (!entries) return Error{entries.error()};
    for (const Json& entry : *entries) {
      const Json listener = field_of(entry, "listener");
      const std::string name(entry["name"].as_string(listener["name"].as_string()));
      const Json active = entry["active_state"];
      Note& note = listeners_[name];
      note.is_static = which == "static_listeners";
      read_note(entry, note.is_static ? entry : active, note);
      if (listener.is_missing()) continue;
      take(listener, "lds", name,
           [this](const auto& made) { return assembly_->add_listener(made); });
    }
  }
  return Ok{};
}

// ---- what it tells ----

void LiveProxy::process(Lines& lines) const {
  lines.push_back(str("proxy: ", one_line(version_), ", ", one_line(state_),
                      node_.empty() ? "" : ", node ", one_line(node_)));
  if (state_ == "LIVE") return;
  const auto waits = ask("/init_dump");
  if (!waits) return;
  for (const Json& dump : waits->root()["unready_targets_dumps"].items()) {
    for (const Json& target : dump["target_names"].items())
      lines.push_back(
          str("  waits: ", one_line(dump["name"].as_string()), ": ", one_line(target.as_string())));
  }
}

// What has expired explains what no route does.
void LiveProxy::certificates(Lines& lines) const {
  const auto certificates = ask("/certs");
  if (!certificates) return;
  const std::string now = admin::utc_text(wall_now());
  for (const Json& context : certificates->root()["certificates"].items()) {
    for (const std::string_view which : {"cert_chain", "ca_cert"}) {
      for (const Json& one : context[which].items()) {
        const std::string_view end = one["expiration_time"].as_string();
        // Both as RFC 3339 in UTC, which sorts by time.
        if (end.empty() || end.substr(0, 19) >= std::string_view(now).substr(0, 19)) continue;
        lines.push_back(str("certificate: ", one_line(one["path"].as_string()), " has EXPIRED at ",
                            one_line(end)));
      }
    }
  }
}

void LiveProxy::tell(const Note& note, Lines& lines) {
  // A file of resources need not say a version; the last-good cache has none of a whole response.
  const std::string what = !note.version.empty() ? str("version ", one_line(note.version))
                           : note.is_static
                               ? std::string("the file's")
                               : "without a version (a file of resources, or the last-good cache)";
  if (!note.version.empty() || !note.updated.empty())
    lines.push_back(
        str("  in force: ", what, note.updated.empty() ? "" : ", since ", one_line(note.updated)));
  if (!note.waiting.empty())
    lines.push_back(str("  waiting to take its place: version ", one_line(note.waiting)));
  if (!note.error.empty())
    lines.push_back(str("  the last update was refused",
                        note.error_version.empty() ? "" : ", version ",
                        one_line(note.error_version), ": ", one_line(note.error)));
}

void LiveProxy::listener(std::string_view name, Lines& lines) {
  if (const auto it = listeners_.find(name); it != listeners_.end()) tell(it->second, lines);
}

void LiveProxy::routes(std::string_view name, Lines& lines) {
  if (const auto it = routes_.find(name); it != routes_.end()) tell(it->second, lines);
}

void LiveProxy::scope(std::string_view name, Lines& lines) {
  if (const auto it = scopes_.find(name); it != scopes_.end()) tell(it->second, lines);
}

void LiveProxy::leftovers(Lines& lines) const {
  Lines found;
  for (const auto& [name, note] : listeners_) {
    if (note.is_in_force || name.empty()) continue;
    found.push_back(
        str("not in force: listener \"", one_line(name), "\"",
            note.error.empty() ? ", which waits" : ", which was refused: ", one_line(note.error)));
  }
  for (const std::string& why : unreadable_)
    found.push_back(str("not understood here, so left out: ", why));
  const size_t more = found.size() > kMaxLeftovers ? found.size() - kMaxLeftovers : 0;
  found.resize(found.size() - more);
  for (std::string& line : found) lines.push_back(std::move(line));
  if (more != 0) lines.push_back(str("and ", more, " more"));
}

std::shared_ptr<const upstream::ClusterConfig> LiveProxy::cluster(std::string_view name,
                                                                  Lines& lines) {
  const std::string filter = exactly(name);
  std::shared_ptr<const upstream::ClusterConfig> out;
  for (const std::string_view which :
       {"static_clusters", "dynamic_active_clusters", "dynamic_warming_clusters"}) {
    const auto entries = list(which, filter);
    if (!entries) {
      lines.push_back(str("  ", entries.error()));
      return nullptr;
    }
    for (const Json& entry : *entries) {
      const Json cluster = entry["cluster"];
      const bool is_waiting = which == "dynamic_warming_clusters";
      Note note;
      note.is_static = which == "static_clusters";
      read_note(entry, cluster.is_missing() ? Json() : entry, note);
      if (is_waiting && out != nullptr) {
        lines.push_back(str("  waiting to take its place: version ", one_line(note.version)));
        continue;
      }
      tell(note, lines);
      if (cluster.is_missing()) continue;
      if (is_waiting) lines.push_back("  it waits for its endpoints, and is not in force");
      std::string why;
      const auto document = document_of(cluster, str("cds/", config::printable(name)), why);
      if (document != nullptr) {
        auto made = assembly_->cluster(document);
        if (made) out = std::move(*made);
        if (!made) why = made.error();
      }
      if (!why.empty()) lines.push_back(str("  not understood here: ", one_line(why)));
    }
  }
  return out;
}

Json LiveProxy::cluster_status(std::string_view name) {
  const auto known = statuses_.find(name);
  if (known != statuses_.end()) return known->second;
  Json found;
  auto document = ask(str("/clusters?format=json&filter=", query_escape(exactly(name))));
  if (document) {
    kept_.push_back(std::move(*document));
    // Envoy's filter looks at other names, too.
    for (const Json& status : kept_.back().root()["cluster_statuses"].items())
      if (status["name"].as_string() == name) found = status;
  }
  return statuses_[std::string(name)] = found;
}

namespace {

std::string address_text(const Json& address) {
  const Json socket = address["socket_address"];
  if (socket.is_missing()) return one_line(address["pipe"]["path"].as_string("?"));
  const std::string_view host = socket["address"].as_string();
  const bool is_v6 = host.find(':') != std::string_view::npos;
  return str(is_v6 ? "[" : "", one_line(host), is_v6 ? "]:" : ":",
             socket["port_value"].as_int().value_or(0));
}

// "healthy", or what is against it.
std::string health_text(const Json& health) {
  constexpr std::pair<std::string_view, std::string_view> kFlags[] = {
      {"failed_active_health_check", "failed its health check"},
      {"failed_outlier_check", "ejected as an outlier"},
      {"failed_active_degraded_check", "degraded by its health check"},
      {"pending_dynamic_removal", "removed, and still healthy"},
      {"pending_active_hc", "not checked yet"},
      {"excluded_via_immediate_hc_fail", "excluded by its own answer"},
      {"active_hc_timeout", "its health check timed out"}};
  std::string out;
  for (const auto& [flag, text] : kFlags) {
    if (health[flag].as_bool()) out += str(out.empty() ? "" : ", ", text);
  }
  const std::string_view eds = health["eds_health_status"].as_string("HEALTHY");
  if (eds != "HEALTHY" && eds != "UNKNOWN")
    out += str(out.empty() ? "" : ", ", "told to be ", one_line(eds));
  return out.empty() ? "healthy" : out;
}

std::string host_text(const Json& host) {
  std::map<std::string_view, std::string_view> numbers;
  for (const Json& stat : host["stats"].items())
    numbers[stat["name"].as_string()] = stat["value"].as_string("0");
  std::string out =
      str("host: ", address_text(host["address"]), ", ", health_text(host["health_status"]));
  if (const auto weight = host["weight"].as_int(); weight && *weight != 1)
    out += str(", weight ", *weight);
  if (const auto priority = host["priority"].as_int(); priority && *priority != 0)
    out += str(", priority ", *priority);
  return out + str("; ", one_line(numbers["rq_active"]), " requests now, ",
                   one_line(numbers["rq_success"]), " done, ", one_line(numbers["rq_error"]),
                   " failed");
}

constexpr size_t kMaxHosts = 20;

}  // namespace

bool LiveProxy::hosts(std::string_view cluster, Lines& lines) {
  const Json status = cluster_status(cluster);
  if (status.is_missing()) return false;
  const std::vector<Json> hosts = status["host_statuses"].items();
  for (size_t i = 0; i < std::min(hosts.size(), kMaxHosts); ++i)
    lines.push_back(host_text(hosts[i]));
  if (hosts.size() > kMaxHosts)
    lines.push_back(str("and ", hosts.size() - kMaxHosts, " hosts more"));
  if (hosts.empty()) lines.push_back("host: none; the answer is 503");
  return true;
}

void LiveProxy::breakers(std::string_view cluster, Lines& lines) {
  const std::string stat_name(cluster_status(cluster)["observability_name"].as_string(cluster));
  std::string written = stat_name;
  std::ranges::replace(written, ':', '_');
  const std::string prefix = exactly(str("cluster.", written, ".circuit_breakers."));
  const auto answer = client_.get(
      str("/stats?filter=", query_escape(prefix.substr(0, prefix.size() - 1))));  // without its $
  if (!answer || answer->status != 200) return;
  std::string open;
  for (std::string_view rest = answer->body; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t colon = line.rfind(": ");
    if (colon == std::string_view::npos) continue;
    std::string_view name = line.substr(0, colon);
    if (!name.ends_with("_open") || line.substr(colon + 2) == "0") continue;
    name.remove_prefix(name.find("circuit_breakers.") + 17);
    open += str(open.empty() ? "" : ", ", one_line(name));
  }
  lines.push_back(open.empty() ? std::string("breakers: none is open")
                               : str("breakers: OPEN: ", open, "; requests beyond are refused"));
}

}  // namespace pillion::cli
