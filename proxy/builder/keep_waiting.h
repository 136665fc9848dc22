#pragma once
// Listeners that were to take effect and cannot after all, because their sockets could not be
// opened.

#include "proxy/builder/snapshot.h"
#include "proxy/builder/wanted.h"

namespace pillion {

// Of these listeners of `next` what was in force in `former` stays so (maybe nothing), and the
// newest wait; others go on.  `is_all_new`: the files were read for `next`.
void keep_waiting(Snapshot& next, const Names& listeners, const Snapshot& former, bool is_all_new);

// The piece of a listener, of the file or of a control plane; null: there is none.
[[nodiscard]] const Piece<CompiledListener>* find_listener(const Resources& resources,
                                                           std::string_view name);

}  // namespace pillion
