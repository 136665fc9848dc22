// FilterChainMatch.
#include <algorithm>
#include <functional>
#include <optional>
#include <unordered_map>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/value_hash.h"
#include "proxy/core/parse_parts.h"

namespace pillion::core {
namespace {

using config::combine_hashes;
using config::EnumRow;
using config::Node;
using config::Unknown;
using SourceType = FilterChainMatch::SourceType;

constexpr EnumRow kSourceTypes[] = {{"ANY", 0}, {"SAME_IP_OR_LOOPBACK", 1}, {"EXTERNAL", 2}};

std::vector<match::Cidr> parse_ranges(const Node& list) {
  std::vector<match::Cidr> ranges;
  for (const Node item : list.items()) ranges.push_back(match::parse_cidr(item));
  return ranges;
}

std::string parse_server_name(const Node& node) {
  std::string name = lowered(node.as_string_or(""));
  const bool is_wildcard = name.starts_with("*.");
  const std::string_view rest = std::string_view(name).substr(is_wildcard ? 2 : 0);
  if (rest.empty() || rest.find('*') != rest.npos) {
    node.expected("a host name, or \"*.\" and a suffix",
                  "to match every name leave server_names out");
  }
  return name;
}

std::string parse_transport_protocol(const Node& node) {
  std::string name = node.as_string_or("");
  if (!name.empty() && name != "tls" && name != "raw_buffer") node.expected("tls or raw_buffer");
  return name;
}

// EqualMatches: finds chains for which a connection would have the same rank at every step.
//
// As Envoy's, by maps: a chain is entered once for each combination of its values ("any" where a
// criterion has none), so that lists of a peer cost what they hold and not its square.
class EqualMatches {
 public:
  static constexpr size_t kMaxCombinations = 1'000'000;

  // Its first place with an equal match, or nothing.  False: too many combinations.
  bool add(const FilterChainMatch& match, uint32_t place, std::optional<uint32_t>& other) {
    const std::vector<uint64_t> criteria[] = {
        hashes(match.server_names),  hashes(match.destination), hashes(match.application_protocols),
        hashes(match.direct_source), hashes(match.source),      hashes(match.source_ports)};
    uint64_t base =
        combine_hashes(match.destination_port, static_cast<uint64_t>(match.source_type));
    base = combine_hashes(base, std::hash<std::string>{}(match.transport_protocol));
    size_t combinations = 1;
    for (const auto& values : criteria) {
      combinations *= values.size();
      if (combinations > kMaxCombinations - places_.size()) return false;
    }
    enter(criteria, base, place, other);
    return true;
  }

 private:
  static uint64_t hash_of(const std::string& text) { return std::hash<std::string>{}(text); }
  static uint64_t hash_of(const match::Cidr& range) { return hash_of(range.to_string()); }
  static uint64_t hash_of(uint16_t port) { return port; }

  template <typename T>
  static std::vector<uint64_t> hashes(const std::vector<T>& values) {
    std::vector<uint64_t> out;
    for (const T& value : values) out.push_back(combine_hashes(1, hash_of(value)));
    if (out.empty()) out.push_back(0);  // any, which is one of the values that it can have
    return out;
  }

  void enter(std::span<const std::vector<uint64_t>> criteria, uint64_t hash, uint32_t place,
             std::optional<uint32_t>& other) {
    if (criteria.empty()) {
      const auto [it, is_new] = places_.emplace(hash, place);
      if (!is_new && it->second != place) other = std::min(it->second, other.value_or(it->second));
      return;
    }
    for (const uint64_t value : criteria.front())
      enter(criteria.subspan(1), combine_hashes(hash, value), place, other);
  }

  std::unordered_map<uint64_t, uint32_t> places_;
};

}  // namespace

FilterChainMatch parse_chain_match(const Node& node) {
  FilterChainMatch m;
  m.destination_port = static_cast<uint16_t>(node["destination_port"].as_u32_or(0, 1, 65535));
  m.destination = parse_ranges(node["prefix_ranges"]);
  for (const Node item : node["server_names"].items())
    m.server_names.push_back(parse_server_name(item));
  m.transport_protocol = parse_transport_protocol(node["transport_protocol"]);
  for (const Node item : node["application_protocols"].items())
    m.application_protocols.push_back(item.as_string());
  m.direct_source = parse_ranges(node["direct_source_prefix_ranges"]);
  m.source_type = node["source_type"].as_enum_or(SourceType::kAny, kSourceTypes);
  m.source = parse_ranges(node["source_prefix_ranges"]);
  for (const Node item : node["source_ports"].items()) {
    m.source_ports.push_back(static_cast<uint16_t>(item.as_u32(1, 65535)));
  }
  m.matches_everything =
      m.destination_port == 0 && m.destination.empty() && m.server_names.empty() &&
      m.transport_protocol.empty() && m.application_protocols.empty() && m.direct_source.empty() &&
      m.source_type == SourceType::kAny && m.source.empty() && m.source_ports.empty();
  node.unsupported({"address_suffix", "suffix_len"}, kLater, Unknown::kAlwaysError);
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return m;
}

void refuse_equal_matches(const std::vector<std::shared_ptr<const FilterChain>>& chains,
                          const Node& nodes) {
  EqualMatches matches;
  uint32_t index = 0;
  for (const Node node : nodes.items()) {
    std::optional<uint32_t> other;
    if (!matches.add(chains[index]->match, index, other))
      return node["filter_chain_match"].error(str("the filter chains have more than ",
                                                  EqualMatches::kMaxCombinations,
                                                  " combinations of what they match"));
    ++index;
    if (!other) continue;
    const std::string& name = chains[*other]->name;
    const std::string label = name.empty() ? std::string() : str(" \"", name, '"');
    node["filter_chain_match"].error(str("matches the same connections as filter_chains[", *other,
                                         ']', label,
                                         ": expected different filter chains to differ here"));
  }
}

}  // namespace pillion::core
