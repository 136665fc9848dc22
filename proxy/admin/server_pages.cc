// Pages that tell how the proxy itself is.

#include "proxy/admin/memory.h"
#include "proxy/admin/pages.h"
#include "proxy/admin/server_stats.h"
#include "proxy/base/str.h"

namespace pillion::admin {
namespace {

void show_ready(const ServerView& view, Response& response) {
  const ServerState state = view.state();
  response.status = state == ServerState::kLive ? 200 : 503;
  response.body = str(state_name(state), "\n");
}

void show_server_info(const ServerView& view, Response& response) {
  response.content_type = kJson;
  const std::string uptime = str(view.uptime().count(), "s");
  JsonWriter json(response.body);
  json.begin_object().field("version", view.version()).field("state", state_name(view.state()));
  json.field("uptime_current_epoch", uptime).field("uptime_all_epochs", uptime);
  json.field("hot_restart_version", "disabled");
  json.key("command_line_options").begin_object();
  view.write_command_line(json);
  json.end_object().key("node").begin_object();
  view.write_node(json);
  json.end_object();
  if (const auto failure = view.last_failed_reload()) {
    json.key("last_failed_reload").begin_object();
    json.field("last_update_attempt", utc_text(failure->when)).field("details", failure->details);
    json.end_object();
  }
  json.end_object();
}

void show_listeners(const ServerView& view, const Request& request, Response& response) {
  const std::string_view format = request.param("format").value_or("text");
  if (format != "text" && format != "json") {
    return response.fail(400, "usage: /listeners?format=(text|json)\n");
  }
  if (format == "text") {
    for (const ListenerStatus& listener : view.listeners()) {
      for (const io::Address& address : listener.addresses) {
        response.body += str(listener.name, "::", address.to_string(), "\n");
      }
    }
    return;
  }
  response.content_type = kJson;
  JsonWriter json(response.body);
  json.begin_object().key("listener_statuses").begin_array();
  for (const ListenerStatus& listener : view.listeners()) {
    json.begin_object().field("name", listener.name);
    for (size_t i = 0; i < listener.addresses.size(); ++i) {
      if (i == 1) json.key("additional_local_addresses").begin_array();
      if (i == 0) json.key("local_address");
      json.begin_object();
      write_address(json, listener.addresses[i]);
      json.end_object();
    }
    if (listener.addresses.size() > 1) json.end_array();
    json.end_object();
  }
  json.end_array().end_object();
}

void write_certificates(JsonWriter& json, std::string_view name,
                        const std::vector<CertificateStatus>& certificates) {
  json.key(name).begin_array();
  for (const CertificateStatus& c : certificates) {
    json.begin_object().field("path", c.path).field("serial_number", c.serial_number);
    json.key("subject_alt_names").begin_array();
    for (const auto& [kind, value] : c.subject_alt_names) {
      json.begin_object().field(kind, value).end_object();
    }
    json.end_array();
    const WallTime now = wall_now();
    json.field("days_until_expiration", str(days_until(c.expiration, now)));
    json.field("valid_from", utc_text(c.valid_from));
    json.field("expiration_time", utc_text(c.expiration));
    // Those of a mesh live for hours, and days say little.
    json.field("seconds_until_expiration", (c.expiration - now) / std::chrono::seconds(1));
    json.field("age_seconds", (now - c.valid_from) / std::chrono::seconds(1)).end_object();
  }
  json.end_array();
}

void show_certificates(const ServerView& view, Response& response) {
  response.content_type = kJson;
  JsonWriter json(response.body);
  json.begin_object().key("certificates").begin_array();
  for (const CertificatesStatus& context : view.certificates()) {
    json.begin_object();
    write_certificates(json, "ca_cert", context.ca_cert);
    write_certificates(json, "cert_chain", context.cert_chain);
    json.end_object();
  }
  json.end_array().end_object();
}

void show_memory(Response& response) {
  const MemoryUse use = read_memory_use();
  response.content_type = kJson;
  JsonWriter json(response.body);
  json.begin_object();
  json.key("allocated").value_as_string(use.allocated);
  json.key("heap_size").value_as_string(use.heap);
  json.key("pageheap_unmapped").value_as_string(0);
  json.key("pageheap_free").value_as_string(use.heap_free);
  json.key("total_thread_cache").value_as_string(0);
  json.key("total_physical_bytes").value_as_string(use.physical);
  json.end_object();
}

void show_runtime(const ServerView& view, Response& response) {
  const RuntimeStatus runtime = view.runtime();
  response.content_type = kJson;
  JsonWriter json(response.body);
  json.begin_object().key("layers").begin_array();
  for (const std::string& layer : runtime.layers) json.value(layer);
  json.end_array().key("entries").begin_object();
  for (const auto& [name, entry] : runtime.entries) {
    json.key(name).begin_object().field("final_value", entry.final_value);
    json.key("layer_values").begin_array();
    for (const std::string& value : entry.layer_values) json.value(value);
    json.end_array().end_object();
  }
  json.end_object().end_object();
}

}  // namespace

std::string_view state_name(ServerState state) noexcept {
  switch (state) {
    case ServerState::kLive:
      return "LIVE";
    case ServerState::kDraining:
      return "DRAINING";
    case ServerState::kPreInitializing:
      return "PRE_INITIALIZING";
    case ServerState::kInitializing:
      return "INITIALIZING";
  }
  return "";
}

void add_server_pages(Router& router, const PageContext& context) {
  const ServerView& view = context.view;
  const auto add = [&router](std::string path, std::string help, auto show) {
    router.add(
        {std::move(path), std::move(help), {}, false, [show](const Request&, Response& response) {
           show(response);
         }});
  };
  add("/ready", "print server state, return 200 if LIVE, otherwise return 503",
      [&view](Response& response) { show_ready(view, response); });
  add("/server_info", "print server version/status information",
      [&view](Response& response) { show_server_info(view, response); });
  add("/certs", "print certs on machine",
      [&view](Response& response) { show_certificates(view, response); });
  add("/memory", "print current allocation/heap usage",
      [](Response& response) { show_memory(response); });
  add("/runtime", "print runtime values",
      [&view](Response& response) { show_runtime(view, response); });
  add("/hot_restart_version", "print the hot restart compatibility version",
      [](Response& response) { response.body = "disabled"; });
  router.add({"/listeners",
              "print listener info",
              {{"format", "File format to use", {"text", "json"}}},
              false,
              [&view](const Request& request, Response& response) {
                show_listeners(view, request, response);
              }});
}

}  // namespace pillion::admin
