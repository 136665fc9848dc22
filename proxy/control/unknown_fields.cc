#include "proxy/control/unknown_fields.h"

#include "proxy/base/log.h"

namespace pillion {

void UnknownFieldList::add(const config::UnknownFieldMap& fields) {
  for (const auto& [name, field] : fields) {
    if (all_.contains(name) || all_.size() >= config::Errors::kMaxProblems) continue;
    log::warning(log::kConfig, "a field of the control plane has no effect here; said only once",
                 {{"field", name}, {"example", field.example}});
  }
  config::add_unknown_fields(all_, fields);
}

}  // namespace pillion
