#pragma once
// ReadyTask: work that waits for the end of the deliver phase of a turn (Loop::post).

#include "proxy/base/intrusive_list.h"

namespace pillion::io {

struct ReadyTag {};

// Unlinks itself when destroyed.
class ReadyTask : public ListNode<ReadyTag> {
 public:
  virtual void run_ready() = 0;

 protected:
  ~ReadyTask() = default;
};

}  // namespace pillion::io
