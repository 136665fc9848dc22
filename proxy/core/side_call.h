#pragma once
// Side calls: HTTP exchanges that a filter has with somebody else than the upstream of its request,
// by the name of a cluster, on its worker's connections (design, sections 10 and 11).  One of the
// headers of core/ that filters/ may include.
//
//   call_ = context_.side_calls().open("authz", {.path = "/check"}, *this);
//   call_->send(body, true);          // never calls back on this stack
//   ... on_call_head, on_call_data ..., or on_call_failed
//   call_.reset();                    // in on_complete at the latest; nothing follows
//
// The contract of the call itself: upstream/cluster_client.h.

#include "proxy/upstream/cluster_client.h"

namespace pillion::core {

using SideCallField = upstream::CallField;
using SideCallHead = upstream::CallHead;
using SideCallObserver = upstream::ClientCallObserver;
using SideCallPtr = upstream::ClientCallPtr;

}  // namespace pillion::core
