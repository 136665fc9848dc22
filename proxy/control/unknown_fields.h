#pragma once
// UnknownFieldList: which fields of the control plane's resources were ignored since the start, how
// often, and where one of them stood.  A name is warned of once: each push says the same again.
// Control loop only; owned by the Server.

#include "proxy/config/errors.h"

namespace pillion {

class UnknownFieldList {
 public:
  // What was ignored in a resource that was taken.
  void add(const config::UnknownFieldMap& fields);
  [[nodiscard]] const config::UnknownFieldMap& all() const noexcept { return all_; }

 private:
  config::UnknownFieldMap all_;
};

}  // namespace pillion
