#pragma once
// DomainTable: which virtual host a Host belongs to.
//
// Envoy's order: the exact name, "*suffix" (longest first), "prefix*" (longest first), "*".  ASCII
// case is ignored; a wildcard never matches the empty text.  Immutable once built; looking up
// allocates nothing.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pillion::route {

class DomainTable {
 public:
  // False if the domain is there already.  `domain` must be legal (see check_domain).
  bool add(std::string_view domain, uint32_t host);
  // The number given to add().
  [[nodiscard]] std::optional<uint32_t> find(std::string_view authority) const;

  // Who has this very domain, as it was given to add().
  [[nodiscard]] std::optional<uint32_t> find_domain(std::string_view domain) const;

  // For people: the domain that decides.
  struct Hit {
    uint32_t host;
    std::string domain;  // "*.a.b"
  };
  [[nodiscard]] std::optional<Hit> explain(std::string_view authority) const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const noexcept;
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const noexcept;
  };
  using Map = std::unordered_map<std::string, uint32_t, Hash, Equal>;
  struct Wildcards {
    Map texts;                      // without the '*'
    std::vector<uint32_t> lengths;  // of these, longest first
    bool add(std::string_view text, uint32_t host);
  };

  // The entry, and whether it is a suffix, a prefix or a whole name.
  struct Found {
    const Map::value_type* entry = nullptr;
    bool is_suffix = false;
    bool is_prefix = false;
  };
  [[nodiscard]] Found look_up(std::string_view authority) const;

  Map exact_;
  Wildcards suffixes_;
  Wildcards prefixes_;
  std::optional<uint32_t> any_;  // "*"
};

// What is wrong with it, or empty: '*' may stand at one end only.
std::string_view check_domain(std::string_view domain);

// Without ":port"; an IPv6 address keeps its brackets.
std::string_view without_port(std::string_view authority) noexcept;

}  // namespace pillion::route
