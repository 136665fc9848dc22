#pragma once
// Close now, free later (design section 7.2): an object that may be on the stack while it is
// closed is handed to Loop::delete_later and destroyed in the bury phase of the turn.

#include "proxy/base/intrusive_list.h"

namespace pillion::io {

struct DeferredTag {};

class Deferred : public ListNode<DeferredTag> {
 public:
  virtual ~Deferred() = default;
};

}  // namespace pillion::io
