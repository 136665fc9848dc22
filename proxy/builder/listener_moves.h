#pragma once
// In which order listeners may take addresses from each other: one that wants what another one has
// in force waits until that has left it, or both would listen there and each get half of the
// clients.  Two that swap leave together.

#include <functional>
#include <span>

#include "proxy/builder/listen_addresses.h"
#include "proxy/builder/resources.h"
#include "proxy/builder/wanted.h"

namespace pillion {

struct ListenerMove {
  const core::ListenerConfig* from = nullptr;  // in force; null: it is new
  const core::ListenerConfig* to = nullptr;
  bool may_go = false;  // it has all else that it needs
};
// Of those that may go, the names of those that must stay because somebody stays.  In time that
// grows with their number.
Names blocked_moves(std::span<const ListenerMove> moves);

// Listeners of `resources` that must not start now for want of their addresses: those that are
// held, and those behind others.  `may_start`: has the piece's newest all else that it needs?
Names without_addresses(const Resources& resources, const HeldListeners& held,
                        const std::function<bool(const Piece<CompiledListener>&)>& may_start);

}  // namespace pillion
