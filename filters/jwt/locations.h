#pragma once
// Locations: where the tokens of some providers are in a request: headers, query parameters and
// cookies, in Envoy's order.  All of them are looked at and all their values: a second token beside
// a good one could be the one that the application reads.  Immutable, part of the configuration.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "filters/jwt/provider.h"
#include "proxy/http/message.h"

namespace pillion::filters::jwt {

struct Location {
  enum class Kind : uint8_t { kHeader, kParameter, kCookie };

  Kind kind;
  std::string name;    // lower case of a header
  std::string prefix;  // of a header's value
  bool takes_any_issuer = false;
  std::vector<std::string> issuers;  // of the providers that read here

  [[nodiscard]] bool takes(std::string_view issuer) const;
};

// A text at a location; it may be anything.
struct FoundToken {
  std::string_view text;
  const Location* location = nullptr;
};

class Locations {
 public:
  static constexpr size_t kMaxTokens = 8;
  struct Found {
    FoundToken tokens[kMaxTokens];
    size_t count = 0;
    bool has_more = false;  // than there is room for: nobody means that
  };

  explicit Locations(std::span<const std::unique_ptr<const Provider>> providers) {
    for (const auto& provider : providers) add(*provider);
    sort();
  }
  explicit Locations(const Provider& provider) {
    add(provider);
    sort();
  }

  // `head` and the arena keep the texts.
  [[nodiscard]] Found find(const http::RequestHead& head, Arena& arena) const;
  // The token leaves the request: the header, or the parameter, with all its values.  A cookie
  // stays, as in Envoy.
  static void remove(const Location& location, http::RequestHead& head, Arena& arena);

 private:
  void add(const Provider& provider);
  void add(Location::Kind kind, std::string_view name, std::string_view prefix,
           const Provider& provider);
  void sort();

  std::vector<Location> list_;  // headers, then parameters, then cookies, each by name and prefix
};

}  // namespace pillion::filters::jwt
