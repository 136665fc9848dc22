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

// What only requests have.
void write_request(EnvoyWriter& out, const AuthorizeRule& rule) {
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
      out.message("string_match",
                  [&] { out.message("safe_regex", [&] { out.text("regex", host_regex(host)); }); });
    });
  });
}

// `asks_request`: what only requests have is asked for, too.
void write_permission(EnvoyWriter& out, const AuthorizeRule& rule, bool asks_request) {
  if (!asks_request && rule.ports.empty()) return out.flag("any", true);
  out.message("and_rules", [&] {
    out.list("rules", [&] {
      if (asks_request) write_request(out, rule);
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

// Of connections to other ports than the app's nothing is known but who makes them, and to where.
// Rules that allow requests open none of them.  Rules that deny some requests to somebody, or at
// ports that they name, deny all that may be one: no connection is better than one that is not
// looked at.  But what is denied to all, anywhere, is a path or a host of the app.
bool concerns_connections(const AuthorizeRule& rule, const Inbound& inbound) {
  if (!rule.asks_request()) return true;
  if (!rule.denies) return false;
  if (rule.ports.empty()) return !rule.from.empty();
  return std::ranges::any_of(rule.ports, [&](uint16_t port) { return port != inbound.app.port; });
}

enum class Judged : uint8_t { kRequests, kConnections };

bool is_written(const AuthorizeRule& rule, const Inbound& inbound, bool denies, Judged what) {
  return rule.denies == denies &&
         (what == Judged::kRequests || concerns_connections(rule, inbound));
}

// The rules of that kind, by their place among all.
void write_rules(EnvoyWriter& out, const Inbound& inbound, bool denies, Judged what) {
  out.message("rules", [&] {
    out.word("action", denies ? "DENY" : "ALLOW");
    out.message("policies", [&] {
      size_t number = 0;
      for (const AuthorizeRule& rule : inbound.authorize) {
        ++number;
        if (!is_written(rule, inbound, denies, what)) continue;
        const bool asks_request = what == Judged::kRequests && rule.asks_request();
        out.standing_for(rule.node, [&] {
          out.message(str("rule-", number), [&] {
            out.list("permissions",
                     [&] { out.item([&] { write_permission(out, rule, asks_request); }); });
            out.list("principals", [&] { write_principals(out, rule); });
          });
        });
      }
    });
  });
}

// A filter that denies is there if a rule does.  One that allows is there if there is any rule of
// that kind: it denies the rest.
bool has_filter(const Mesh& mesh, bool denies, Judged what) {
  if (!mesh.inbound) return false;
  return std::ranges::any_of(mesh.inbound->authorize, [&](const AuthorizeRule& rule) {
    return is_written(rule, *mesh.inbound, denies, denies ? what : Judged::kRequests);
  });
}

}  // namespace

void write_authorize_http(EnvoyWriter& out, const Mesh& mesh) {
  for (const bool denies : {true, false}) {
    if (!has_filter(mesh, denies, Judged::kRequests)) continue;
    out.item([&] {
      out.extension(denies ? "authorize-deny" : "authorize-allow", kHttpRbac,
                    [&] { write_rules(out, *mesh.inbound, denies, Judged::kRequests); });
    });
  }
}

void write_authorize_tcp(EnvoyWriter& out, const Mesh& mesh, std::string_view stat_prefix) {
  for (const bool denies : {true, false}) {
    if (!has_filter(mesh, denies, Judged::kConnections)) continue;
    out.item([&] {
      out.extension(denies ? "authorize-deny" : "authorize-allow", kNetworkRbac, [&] {
        out.text("stat_prefix", str(stat_prefix, '.'));
        write_rules(out, *mesh.inbound, denies, Judged::kConnections);
      });
    });
  }
}

}  // namespace pillion::config
