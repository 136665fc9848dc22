#pragma once
// The short mesh YAML (design.md, 12) as the Envoy v3 bootstrap that it stands for.
//
// Listeners
//   inbound   tls_inspector (unless mtls is off) and original_dst (capture: redirect).  Strict:
//             connections that do not begin with TLS match no filter chain and are closed; clients
//             need a certificate of the workload's CA with a spiffe://TRUST_DOMAIN/ URI.
//             Permissive: what begins with TLS obeys the same rules, and plain text has chains of
//             its own (app-plain, stat_prefix inbound_plain) without identity; whoever says nothing
//             for 5 s is plain text.  Captured connections to the app's port are HTTP for
//             `inbound|app`; those to other ports go, under the same TLS rules or those of
//             inbound.ports, to where they were meant to go, as TCP.
//             x-forwarded-client-cert is made anew (SANITIZE_SET), or removed of plain text: the
//             app sees the identity of the direct peer and nothing that a peer claims.
//   outbound  One virtual host for each service.  Captured: HTTP is expected on port 80 and the
//             services' ports; all other ports pass as TCP (so that server-first protocols and the
//             app's own TLS work), or are closed under unknown: reject.  Not captured: an explicit
//             HTTP proxy.
//   metrics   /stats/prometheus, /metrics and /ready of the admin interface, nothing else of it.
// Choices where Envoy's defaults are a trap
//   normalize_path and strip_trailing_host_dot on both sides.  Inbound only, for outbound it would
//   change the requests to other people's servers: merge_slashes, escaped slashes are refused
//   (inbound.escaped_slashes), path parameters do not hide a path from what matches it, and fields
//   with an underscore in their name are dropped (to many frameworks x_role is x-role).
//   No route timeout inbound (the caller's holds); TLS 1.3 only; idle upstream connections close
//   after 60 s; retries have a budget, 20 % of the requests under way (Envoy's 3 in all turn a dead
//   replica into errors, and many more would turn an overload into an outage); the TTL of DNS
//   answers counts.
// Runs unchanged in Envoy (1.40: `envoy --mode validate`).

#include <string>
#include <string_view>

#include "proxy/config/loader.h"

namespace pillion::config {

// Is it short mesh YAML?  Envoy bootstraps are known by their fields (static_resources, node, ...).
bool is_short_form(const Document& document);

// The expanded tree; places and paths are those of the short file.  What is wrong goes to `errors`;
// the tree is complete all the same, so that the rest can be checked.  What would only follow from
// the former is not reported then (Errors::drop_what_follows).
DocumentPtr expand(const DocumentPtr& short_form, Errors& errors);

// The Envoy v3 bootstrap that `-c path` and `--config-yaml overlay` stand for together; either may
// be empty.  nullptr if there is none (see loader.h).  Where `errors` has any, it is good for
// finding more of them only.
DocumentPtr load_bootstrap(const std::string& path, std::string_view overlay, Errors& errors);

}  // namespace pillion::config
