// inbound.authorize as Envoy's RBAC filters: one that denies, then one that allows what a rule
// names and nothing else.
#include <algorithm>

#include "proxy/base/str.h"
#include "proxy/config/expand_parts.h"

namespace pillion::config {
namespace {

constexpr std::string_view kHttpRbac = "envoy.extensions.filters.http.rbac.v3.RBAC";
constexpr std::string_view kNetworkRbac = "envoy.extensions.filters.network.rbac.v3.RBAC";

// `key: { prefix: A }` of "A*", `key: { exact: A }` of "A".
void write_text_match(EnvoyWriter& out, std::string_view key, std::string_view text) {
  out.message(key, [&] {
    const bool is_prefix = text.ends_with('*');
    out.text(is_prefix ? "prefix" : "exact", text.substr(0, text.size() - (is_prefix ? 1 : 0)));
  });
}

// The authority in any case, with any port or none, with a dot behind it or none.
std::string host_regex(std::string_view host) {
  const bool is_suffix = host.starts_with("*.");
  if (is_suffix) host.remove_prefix(1);
  std::string regex = is_suffix ? "(?i)[^:]+" : "(?i)";
  const bool is_v6 = host.find(':') != host.npos;
  if (is_v6) regex += "\\[";
  for (const char c : host) {
    if (c == '.') regex += '\\';
    regex += c;
  }
  return regex + (is_v6 ? "\\]" : "\\.?") + "(:[0-9]+)?";
}

// An or_rules of one condition each; nothing if there are none.
template <typename List, typename Write>
void write_any(EnvoyWriter& out, const List& list, Write&& write) {
  if (list.empty()) return;
  out.item([&] {
    out.message("or_rules", [&] {
      out.list("rules", [&] {
        for (const auto& entry : list) out.item([&] { write(entry); });
      });
    });
  });
}

void write_permission(EnvoyWriter& out, const AuthorizeRule& rule) {
  if (!rule.asks_request() && rule.ports.empty()) return out.flag("any", true);
  out.message("and_rules", [&] {
    out.list("rules", [&] {
      write_any(out, rule.methods, [&](const std::string& method) {
        out.message("header", [&] {
          out.text("name", ":method");
          out.message("string_match", [&] { out.text("exact", method); });
        });
      });
      write_any(out, rule.paths, [&](const std::string& path) {
        out.message("url_path", [&] { write_text_match(out, "path", path); });
      });
      write_any(out, rule.hosts, [&](const std::string& host) {
        out.message("header", [&] {
          out.text("name", ":authority");
          out.message("string_match", [&] {
            out.message("safe_regex", [&] { out.text("regex", host_regex(host)); });
          });
        });
      });
      write_any(out, rule.ports, [&](uint16_t port) { out.number("destination_port", port); });
    });
  });
}

void write_principals(EnvoyWriter& out, const AuthorizeRule& rule) {
  if (rule.from.empty()) return out.item([&] { out.flag("any", true); });
  for (const std::string& identity : rule.from) {
    out.item([&] {
      out.message("authenticated", [&] { write_text_match(out, "principal_name", identity); });
    });
  }
}

// The rules of that kind; those that ask for what only requests have are for requests only.
void write_rules(EnvoyWriter& out, const Mesh& mesh, bool denies, bool of_connections) {
  out.message("rules", [&] {
    out.word("action", denies ? "DENY" : "ALLOW");
    out.message("policies", [&] {
      size_t number = 0;
      for (const AuthorizeRule& rule : mesh.inbound->authorize) {
        ++number;
        if (rule.denies != denies || (of_connections && rule.asks_request())) continue;
        out.standing_for(rule.node, [&] {
          out.message(str("rule-", number), [&] {
            out.list("permissions", [&] { out.item([&] { write_permission(out, rule); }); });
            out.list("principals", [&] { write_principals(out, rule); });
          });
        });
      }
    });
  });
}

bool has_rules(const Mesh& mesh, bool denies) {
  if (!mesh.inbound) return false;
  return std::ranges::any_of(mesh.inbound->authorize,
                             [denies](const AuthorizeRule& r) { return r.denies == denies; });
}

}  // namespace

void write_authorize_http(EnvoyWriter& out, const Mesh& mesh) {
  for (const bool denies : {true, false}) {
    if (!has_rules(mesh, denies)) continue;
    out.item([&] {
      out.extension(denies ? "authorize-deny" : "authorize-allow", kHttpRbac,
                    [&] { write_rules(out, mesh, denies, false); });
    });
  }
}

void write_authorize_tcp(EnvoyWriter& out, const Mesh& mesh, std::string_view stat_prefix) {
  for (const bool denies : {true, false}) {
    if (!has_rules(mesh, denies)) continue;
    out.item([&] {
      out.extension(denies ? "authorize-deny" : "authorize-allow", kNetworkRbac, [&] {
        out.text("stat_prefix", str(stat_prefix, '.'));
        write_rules(out, mesh, denies, true);
      });
    });
  }
}

}  // namespace pillion::config
