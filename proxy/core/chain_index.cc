#include "proxy/core/chain_index.h"

#include "proxy/core/listener_config.h"

namespace pillion::core {

ChainIndex::ChainIndex(std::span<const std::shared_ptr<const FilterChain>> chains) {
  uint32_t place = 0;
  for (const auto& chain : chains) {
    const FilterChainMatch& match = chain->match;
    Group& group = ports_[match.destination_port];
    group.all.push_back(place);
    group.has_destinations |= !match.destination.empty();
    for (const std::string& name : match.server_names) {
      group.names[name].push_back(place);
      if (name.starts_with("*.")) group.suffixes[name.substr(1)].push_back(place);
    }
    if (match.server_names.empty()) group.unnamed.push_back(place);
    needs_inspection_ |= !match.server_names.empty() || !match.transport_protocol.empty() ||
                         !match.application_protocols.empty();
    ++place;
  }
}

ChainIndex::Candidates ChainIndex::find(uint16_t port, std::string_view server_name) const {
  auto group = ports_.find(port);
  if (group == ports_.end()) group = ports_.find(0);
  if (group == ports_.end()) return {};
  // The destination IP comes before the name, so that the best of it may have other names.
  if (group->second.has_destinations) return {group->second.all, false};
  return {find_name(group->second, server_name), true};
}

// The exact name, then the longest suffix, then those that name none.
std::span<const uint32_t> ChainIndex::find_name(const Group& group, std::string_view name) {
  if (name.empty()) return group.unnamed;
  if (const auto it = group.names.find(name); it != group.names.end()) return it->second;
  for (size_t dot = name.find('.', 1); dot != std::string_view::npos;
       dot = name.find('.', dot + 1)) {
    const auto it = group.suffixes.find(name.substr(dot));
    if (it != group.suffixes.end()) return it->second;
  }
  return group.unnamed;
}

}  // namespace pillion::core
