#pragma once
// read_assignment: what EDS sends all day long (ClusterLoadAssignment), straight from its bytes.
//
// One parser decides what an assignment means and says what is wrong with it: parse_assignment()
// (parse.h), over the tree that reflection makes of the message.  That tree costs a hundred times
// what is in it, and nearly every assignment is plain: addresses, weights, health, localities, and
// the metadata that Istio sends with every endpoint.
// This reader takes those, and declines whatever else there may be: a field that it does not know,
// a value that is out of its range, a field that comes twice, text that is not ASCII, a Unix path,
// bytes that are no message.  Then the other way is gone, and what it says counts.
//
// So for any bytes: it declines, or the other way takes them without an error, leaves out no field
// but what is told here, and makes the same endpoints of them (tests/unit/xds/
// read_assignment_test.cc, tests/fuzz/assignment_fuzz.cc).
//
// Any thread.

#include <string>
#include <string_view>
#include <vector>

#include "proxy/upstream/host_set.h"

namespace pillion::upstream {

struct PlainAssignment {
  Endpoints endpoints;
  // Metadata without effect here, each once: "filter_metadata[istio]", as parse_assignment() counts
  // what it leaves out.
  std::vector<std::string> left_out;
};

// False: declined; then `out` is of no use.
[[nodiscard]] bool read_assignment(std::string_view bytes, PlainAssignment& out);

}  // namespace pillion::upstream
