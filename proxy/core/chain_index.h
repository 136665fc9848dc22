#pragma once
// ChainIndex: the filter chains of a listener that has many, by what most of them are told apart
// by: the destination port, and then the server name.  The first steps of ChainMatcher in constant
// time, with the same result.
//
// Knows chains by their place in ListenerConfig::chains, so that it serves every copy of a listener
// whose chains match alike.  Immutable, made by the parser, shared by workers.

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proxy/base/text_map.h"

namespace pillion::core {

struct FilterChain;

class ChainIndex {
 public:
  // Fewer chains are looked through faster.
  static constexpr size_t kMinChains = 8;

  explicit ChainIndex(std::span<const std::shared_ptr<const FilterChain>> chains);

  struct Candidates {
    std::span<const uint32_t> chains;
    // The destination IP and the server name have been looked at, too; else the port alone.
    bool has_names = false;
  };
  [[nodiscard]] Candidates find(uint16_t port, std::string_view server_name) const;
  // Does a chain depend on what only inspection of the first bytes can tell?
  [[nodiscard]] bool needs_inspection() const noexcept { return needs_inspection_; }

 private:
  using Places = std::vector<uint32_t>;
  // Chains for one port, or those for any.
  struct Group {
    Places all;
    bool has_destinations = false;
    TextMap<Places> names;
    TextMap<Places> suffixes;  // ".a.b" of "*.a.b"
    Places unnamed;
  };
  [[nodiscard]] static std::span<const uint32_t> find_name(const Group& group,
                                                           std::string_view name);

  std::unordered_map<uint16_t, Group> ports_;  // 0: any
  bool needs_inspection_ = false;
};

}  // namespace pillion::core
