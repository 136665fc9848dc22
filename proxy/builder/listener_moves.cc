#include "proxy/builder/listener_moves.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

namespace pillion {

Names blocked_moves(std::span<const ListenerMove> moves) {
  std::unordered_multimap<io::Address, size_t, io::Address::Hash> wanted;
  std::vector<size_t> staying;
  for (size_t i = 0; i < moves.size(); ++i) {
    if (!moves[i].may_go) {
      staying.push_back(i);
      continue;
    }
    for (const io::Address& address : own_addresses(*moves[i].to)) wanted.emplace(address, i);
  }
  Names blocked;
  while (!staying.empty()) {
    const size_t who = staying.back();
    staying.pop_back();
    if (moves[who].from == nullptr) continue;
    for (const io::Address& address : own_addresses(*moves[who].from)) {
      const auto [begin, end] = wanted.equal_range(address);
      for (auto it = begin; it != end; ++it) {
        if (it->second != who && blocked.insert(moves[it->second].to->name).second)
          staying.push_back(it->second);
      }
    }
  }
  return blocked;
}

Names without_addresses(const Resources& resources, const HeldListeners& held,
                        const std::function<bool(const Piece<CompiledListener>&)>& may_start) {
  Names out;
  std::vector<const Piece<CompiledListener>*> waiting;
  bool has_any_to_leave = false;
  const auto look = [&](const Piece<CompiledListener>& piece) {
    if (!piece.waits()) return;
    waiting.push_back(&piece);
    has_any_to_leave |= piece.active != nullptr;
    const core::ListenerConfig& config = *piece.newest->config;
    if (is_held(held, config)) out.insert(config.name);
  };
  for (const auto& piece : resources.file_listeners) look(piece);
  for (const std::string& name : resources.unsettled.listeners) {
    const auto it = resources.listeners.find(name);
    if (it != resources.listeners.end()) look(it->second);
  }
  if (!has_any_to_leave) return out;
  std::vector<ListenerMove> moves;
  for (const Piece<CompiledListener>* piece : waiting) {
    const core::ListenerConfig* to = piece->newest->config.get();
    moves.push_back({piece->active == nullptr ? nullptr : piece->active->config.get(), to,
                     !out.contains(to->name) && may_start(*piece)});
  }
  out.merge(blocked_moves(moves));
  return out;
}

}  // namespace pillion
