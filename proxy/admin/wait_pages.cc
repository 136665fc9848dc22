// /init_dump: what is not ready, and what it waits for; Envoy's UnreadyTargetsDumps, and in words.

#include <algorithm>
#include <array>

#include "proxy/admin/pages.h"
#include "proxy/base/str.h"

namespace pillion::admin {
namespace {

struct KindRow {
  Wait::Kind kind;
  std::string_view mask;
  std::string_view manager;  // what Envoy's init managers of that kind are called, or would be
};
constexpr std::array kKinds = {
    KindRow{Wait::Kind::kServer, "server", "init manager Server"},
    KindRow{Wait::Kind::kRuntime, "runtime", "init manager RTDS"},
    KindRow{Wait::Kind::kCluster, "cluster", "init manager Cluster "},
    KindRow{Wait::Kind::kRoute, "route", "init manager RDS local-init-manager "},
    KindRow{Wait::Kind::kVirtualHost, "virtual_host", "init manager VHDS "},
    KindRow{Wait::Kind::kScope, "scope", "init manager SRDS "},
    KindRow{Wait::Kind::kExtension, "extension", "init manager ECDS "},
    KindRow{Wait::Kind::kListener, "listener", "init manager Listener-local-init-manager "},
    KindRow{Wait::Kind::kSecret, "secret", "init manager SDS "},
};

const KindRow& row_of(Wait::Kind kind) { return *std::ranges::find(kKinds, kind, &KindRow::kind); }

void write_json(const std::vector<Wait>& waits, std::string& out) {
  JsonWriter json(out);
  json.begin_object();
  if (!waits.empty()) {
    json.key("unready_targets_dumps").begin_array();
    for (const Wait& wait : waits) {
      json.begin_object().field("name", str(row_of(wait.kind).manager, wait.name));
      json.key("target_names").begin_array();
      for (const std::string& target : wait.targets) json.value(target);
      json.end_array().end_object();
    }
    json.end_array();
  }
  json.end_object();
}

// For who is called at night.  `mask`: the only kind that was asked for; empty: all.
void write_text(ServerState state, const std::vector<Wait>& waits, std::string_view mask,
                std::string& out) {
  out += str("state: ", state_name(state), "\n");
  const bool is_up = state == ServerState::kLive || state == ServerState::kDraining;
  // That is not to say that all is in force: some may have been refused, or given up.
  if (waits.empty() && is_up) {
    out += mask.empty() ? std::string("nothing is waited for\n")
                        : str("nothing is waited for by: ", mask, "\n");
    out +=
        "what was refused or given up: /config_dump (error_state, last_failed), /csds\n"
        "whether a control plane answers: /stats?filter=connected_state\n";
  }
  for (const Wait& wait : waits) {
    const std::string_view kind = row_of(wait.kind).mask;
    out += wait.kind == Wait::Kind::kServer ? std::string("the process waits for:\n")
           : wait.name.empty()              ? str("the ", kind, " waits for:\n")
                                            : str(kind, " \"", wait.name, "\" waits for:\n");
    for (const std::string& reason : wait.reasons) out += str("  - ", reason, "\n");
  }
}

void show_waits(const ServerView& view, const Request& request, Response& response) {
  const std::string_view format = request.param("format").value_or("json");
  if (format != "text" && format != "json" && !format.empty())
    return response.fail(400, "usage: /init_dump?format=(text|json)\n");
  std::vector<Wait> waits = view.waits();
  const std::string_view mask = request.param("mask").value_or("");
  if (!mask.empty()) {
    const auto row = std::ranges::find(kKinds, mask, &KindRow::mask);
    // Nothing found must not look like nothing waited for.
    if (row == kKinds.end()) {
      std::string kinds;
      for (const KindRow& kind : kKinds) kinds += str(kinds.empty() ? "" : "|", kind.mask);
      return response.fail(400, str("usage: /init_dump?mask=(", kinds, ")\n"));
    }
    std::erase_if(waits, [row](const Wait& wait) { return wait.kind != row->kind; });
  }
  if (format == "text") return write_text(view.state(), waits, mask, response.body);
  response.content_type = kJson;
  write_json(waits, response.body);
}

}  // namespace

void add_wait_pages(Router& router, const PageContext& context) {
  router.add({"/init_dump",
              "print what is not ready yet, and what it waits for",
              {{"mask",
                "Only this kind",
                {"", "server", "runtime", "cluster", "route", "virtual_host", "scope", "extension",
                 "listener", "secret"}},
               {"format", "File format to use", {"json", "text"}}},
              false,
              [&view = context.view](const Request& request, Response& response) {
                show_waits(view, request, response);
              }});
}

}  // namespace pillion::admin
