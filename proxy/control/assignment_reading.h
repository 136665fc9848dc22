#pragma once
// One assignment (EDS), from what was said to the set of hosts.  Any thread: an assignment of fifty
// thousand endpoints takes 60 ms by its bytes and a second by its tree, which is no work for
// control.  Two ways (upstream/read_assignment.h): what is plain straight from the bytes, all else
// by the tree and the parser of all resources.

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "proxy/base/packed_bytes.h"
#include "proxy/config/errors.h"
#include "proxy/upstream/host_set.h"
#include "xds/discovery_message.h"
#include "xds/resource_document.h"

namespace pillion {

struct AssignmentRead {
  std::string wrong;  // not empty: it is refused, and there is nothing else
  upstream::HostSetPtr hosts;
  config::UnknownFieldMap unknown_fields;  // without effect, to be counted
  std::string warnings;                    // a line each
  xds::ResourceDocument file;              // of what came from a file
  PackedBytes bytes;                       // the resource, with its name
};

struct AssignmentReading {
  config::UnknownFields unknown_fields = config::UnknownFields::kWarn;
  // Fields without effect that were told before, and where one was: they need only be counted.
  std::map<std::string, std::string, std::less<>> told;

  // `previous`: in force under that name, or null; hosts that stay keep their identity.
  // None: it is not plain, or has something that was not told before.
  [[nodiscard]] std::optional<AssignmentRead> plain(const xds::Resource& resource,
                                                    const upstream::HostSetPtr& previous) const;
  [[nodiscard]] AssignmentRead by_document(const xds::Resource& resource,
                                           const upstream::HostSetPtr& previous) const;
};

}  // namespace pillion
