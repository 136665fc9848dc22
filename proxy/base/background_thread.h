#pragma once
// For threads whose work may wait, while loops with requests may not.

namespace pillion {

// The calling thread, for the rest of its life, leaves the cores to others that want them: under
// full load it gets about a tenth of one.  (In Linux a nice value is a thread's own.)
void stand_back() noexcept;

}  // namespace pillion
