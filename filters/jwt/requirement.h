#pragma once
// Requirement: jwt_authn.v3.JwtRequirement, compiled: which tokens a request must carry.
// Immutable, part of the filter's configuration.

#include <map>
#include <memory>
#include <vector>

#include "filters/jwt/locations.h"
#include "filters/jwt/provider.h"

namespace pillion::filters::jwt {

struct Providers {
  std::vector<std::unique_ptr<const Provider>> list;        // in the configuration's order
  std::vector<std::unique_ptr<const Locations>> locations;  // of each
  std::unique_ptr<const Locations> all_locations;           // of all of them together

  std::map<std::string_view, const Provider*> by_name;  // whose names they are

  [[nodiscard]] const Provider* find(std::string_view name) const;
  // The first of that issuer, else the first that takes any.
  [[nodiscard]] const Provider* find_by_issuer(std::string_view issuer) const;
};

struct Requirement {
  enum class Kind : uint8_t {
    kNone,  // all pass
    kProvider,
    kAny,
    kAll,
    kAllowMissing,          // a token need not be there, but if one is, it is good
    kAllowMissingOrFailed,  // all pass; good tokens have their effects
  };

  Kind kind = Kind::kNone;
  // Of kProvider.
  const Provider* provider = nullptr;
  const Locations* locations = nullptr;  // of the other leaves too: all of them
  bool has_audiences = false;            // instead of the provider's
  Audiences audiences;
  // Of kAny, which holds the last two as flags, and kAll.
  std::vector<Requirement> children;
  bool allows_missing = false;
  bool allows_failed = false;
};

// `node` may be missing: kNone.  Nested at most 16 deep.
Requirement parse_requirement(const config::Node& node, const Providers& providers);

}  // namespace pillion::filters::jwt
