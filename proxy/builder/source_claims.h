#pragma once
// A name is asked of one source in the whole process (wanted.h): endpoints and tables are known by
// their name alone, and two sources of one name would take turns in saying what it is.  Who comes
// second with another source is refused, by name.  Internal to the builder.
//
// Most configurations have no source but ads, and nothing to be compared: as long as
// Resources::has_own_sources is false nobody need call refuse_second_sources().

#include <map>
#include <string>
#include <vector>

#include "proxy/builder/claims.h"
#include "proxy/builder/resources.h"
#include "proxy/config/node.h"

namespace pillion {

// { short name of the type, name } -> the source's key.  Of SRDS and VHDS, of which a process has
// one, the name is "*".
using SourceClaims = std::map<std::vector<std::string>, std::string>;

// Does the piece ask anybody but ads?
bool has_own_source(const CompiledCluster& cluster);
bool has_own_source(const CompiledListener& listener);
bool has_own_source(const CompiledRoutes& routes);

// In the file, or in one listener: an error at `node` if one before it has claimed a name for
// another source.
void claim_sources(SourceClaims& claims, const CompiledCluster& cluster, const config::Node& node);
void claim_sources(SourceClaims& claims, const core::ListenerConfig& listener,
                   const config::Node& node);
// What the pieces of a control plane have claimed, in their newest form.
SourceClaims claims_of_clusters(const Resources& resources);
SourceClaims claims_of_listeners(const Resources& resources);

// refuse_second_claims() for sources: of `resources` that were `before`.
std::vector<SecondClaim> refuse_second_sources(Resources& resources,
                                               const Pieces<CompiledCluster>& before,
                                               const std::string& version);
std::vector<SecondClaim> refuse_second_sources(Resources& resources,
                                               const Pieces<CompiledListener>& before,
                                               const std::string& version);
std::vector<SecondClaim> refuse_second_sources(Resources& resources,
                                               const Pieces<CompiledRoutes>& before,
                                               const std::string& version);

}  // namespace pillion
