#pragma once
// What a resource would ask of the stream of dynamic_resources.ads_config (`ads`, or `self`, which
// is the same here: config_source.h), in a process that has no such stream: nobody would be asked,
// and what waits for the answer would wait for ever.  It is refused, where it is written, be it of
// the file or of a control plane.  Internal to the builder.

#include "proxy/builder/resources.h"
#include "proxy/config/node.h"

namespace pillion {

// An error for each ConfigSource within `resource` that is that stream: of eds_config, rds,
// scoped_routes, vhds, config_discovery and sds_config.
void refuse_ads_sources(const config::Node& resource);
// Likewise of a scope, for the stream of its table: the listeners say who is asked for that.
void refuse_ads_table(const CompiledScope& scope, const Resources& resources,
                      const config::Node& node);
// Likewise of a listener, for tables of which it does not say who is asked: that is ads, too.
void refuse_ads_tables(const CompiledListener& listener, const config::Node& node);

}  // namespace pillion
