#pragma once
// What pieces of a configuration wait for before they are in force, as /init_dump tells it: routes,
// virtual hosts, scopes, extensions and listeners.  The server adds what it alone knows: itself,
// clusters, secrets, and addresses that others have than our listeners.
//
// Rules: settle.cc.  What is not waited for any more (initial_fetch_timeout) may be told beside
// what still is: it has not come either.

#include <set>
#include <string>
#include <vector>

#include "proxy/admin/server_view.h"
#include "proxy/builder/resources.h"
#include "proxy/tls/settled_secrets.h"

namespace pillion {

// `target`: by Envoy's name.
void add_target(admin::Wait& wait, std::string_view target, std::string reason);
// Of one that Envoy shares between its managers, which has another prefix.
void add_shared_target(admin::Wait& wait, std::string_view target, std::string reason);

// Secrets of TLS contexts that have not settled.
void add_secret_targets(admin::Wait& wait, const upstream::ClusterConfig& cluster,
                        const tls::SettledSecrets& settled);

// In the order of the kinds above.
std::vector<admin::Wait> waits_of_pieces(const Resources& resources,
                                         const tls::SettledSecrets& settled = {});

}  // namespace pillion
