#pragma once
// The texts of /config_dump and /csds: made resource by resource while they are sent.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "proxy/admin/config_entries.h"
#include "proxy/admin/config_entry.h"
#include "proxy/admin/field_mask.h"
#include "proxy/admin/pages.h"
#include "proxy/stats/exposition.h"

namespace pillion::admin {

struct DumpOptions {
  ConfigEntries::Filter filter;
  std::optional<FieldMask> mask;
  bool with_eds = false;
  bool with_contents = true;  // of resources
};

// `view` outlives all of them.
// Envoy's ConfigDump.  Sections of which the mask names nothing are left out.
std::unique_ptr<stats::TextSource> make_config_dump(const ServerView& view, DumpOptions options,
                                                    const HasField& has_field);
// The entries of one list, each as a message of its own.
std::unique_ptr<stats::TextSource> make_list_dump(const ServerView& view,
                                                  const DumpSection& section, const DumpList& list,
                                                  DumpOptions options);
// Envoy's envoy.service.status.v3.ClientStatusResponse: all that a control plane was asked for.
std::unique_ptr<stats::TextSource> make_client_status(const ServerView& view, DumpOptions options);

// Every path of the mask names something of the section's message.
bool fits(const FieldMask& mask, const DumpSection& section, const HasField& has_field);

}  // namespace pillion::admin
