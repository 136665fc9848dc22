#pragma once
// Header values with operators (%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%), as route/ sees them.
//
// telemetry/ implements these with the operators of access logs; route/ compiles and renders
// through them without knowing what an operator is.

#include <memory>
#include <string_view>

#include "proxy/base/arena.h"
#include "proxy/config/node.h"

namespace pillion::route {

// One compiled value: immutable, shared by all workers.
class ValueFormat {
 public:
  virtual ~ValueFormat() = default;
  // `context` is what the caller of finalize_request() passed.  The text lives as long as the arena
  // or the context.  It must be a legal field value: no CR, LF or NUL (CVE-2023-27493).
  virtual std::string_view render(Arena& arena, const void* context) const = 0;
};

class FormatFactory {
 public:
  virtual ~FormatFactory() = default;
  // `value` is a string with at least one operator.  Null after an error, which is recorded there.
  virtual std::unique_ptr<const ValueFormat> compile(const config::Node& value) const = 0;
};

}  // namespace pillion::route
