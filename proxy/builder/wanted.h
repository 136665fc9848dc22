#pragma once
// Resources that a configuration names and does not have.

#include <functional>
#include <map>
#include <set>
#include <string>

#include "proxy/base/clock.h"
#include "proxy/base/shared_text.h"
#include "proxy/config/config_source.h"

namespace pillion {

struct Wanted {
  Duration timeout{};              // initial_fetch_timeout; 0: for ever
  config::ConfigSourcePtr source;  // null: ads

  bool operator==(const Wanted&) const = default;
};

// By name.  A name has one source in the whole process; others are refused (source_claims.h).
using WantedNames = std::map<SharedText, Wanted, std::less<>>;
using Names = std::set<std::string, std::less<>>;

}  // namespace pillion
