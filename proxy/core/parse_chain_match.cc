// FilterChainMatch.
#include <algorithm>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/core/parse_parts.h"

namespace pillion::core {
namespace {

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

// No entry stands for "any", which is one of the values that a criterion can have.
template <typename T>
bool have_common(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.empty() || b.empty()) return a.empty() && b.empty();
  return std::find_first_of(a.begin(), a.end(), b.begin(), b.end()) != a.end();
}

// Would a connection find both chains with the same rank at every step?
bool are_equal(const FilterChainMatch& a, const FilterChainMatch& b) {
  return a.destination_port == b.destination_port && a.transport_protocol == b.transport_protocol &&
         a.source_type == b.source_type && have_common(a.server_names, b.server_names) &&
         have_common(a.destination, b.destination) &&
         have_common(a.application_protocols, b.application_protocols) &&
         have_common(a.direct_source, b.direct_source) && have_common(a.source, b.source) &&
         have_common(a.source_ports, b.source_ports);
}

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
  size_t index = 0;
  for (const Node node : nodes.items()) {
    const auto current = chains.begin() + static_cast<ptrdiff_t>(index);
    const auto other = std::find_if(chains.begin(), current, [&](const auto& chain) {
      return are_equal(chain->match, (*current)->match);
    });
    if (other != current) {
      const std::string& name = (*other)->name;
      const std::string label = name.empty() ? std::string() : str(" \"", name, '"');
      node["filter_chain_match"].error(str("matches the same connections as filter_chains[",
                                           other - chains.begin(), ']', label,
                                           ": expected different filter chains to differ here"));
    }
    ++index;
  }
}

}  // namespace pillion::core
