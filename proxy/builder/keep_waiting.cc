#include "proxy/builder/keep_waiting.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "proxy/builder/index_resources.h"

namespace pillion {

const Piece<CompiledListener>* find_listener(const Resources& resources, std::string_view name) {
  if (const auto it = resources.listeners.find(name); it != resources.listeners.end())
    return &it->second;
  const auto& of_file = resources.file_listeners;
  const auto it = std::ranges::find_if(of_file, [name](const Piece<CompiledListener>& piece) {
    return piece.newest != nullptr && piece.newest->config->name == name;
  });
  return it == of_file.end() ? nullptr : &*it;
}

void keep_waiting(Snapshot& next, const Names& listeners, const Snapshot& former, bool is_all_new) {
  auto resources = std::make_shared<Resources>(*next.resources);
  const Resources& before = *former.resources;
  const auto put_back = [&before](const std::string& name, Piece<CompiledListener>& piece) {
    piece.active = nullptr;
    piece.active_version = {};
    const Piece<CompiledListener>* then = find_listener(before, name);
    if (then == nullptr || then->active == nullptr) return;
    piece.active = then->active;
    piece.active_version = then->active_version;
    piece.fix_active_version(before.listeners_version);
  };
  for (const std::string& name : listeners) {
    if (!resources->listeners.contains(name)) continue;
    put_back(name, resources->listeners[name]);
    resources->unsettled.listeners.insert(name);
  }
  for (Piece<CompiledListener>& piece : resources->file_listeners) {
    const std::string& name = piece.newest->config->name;
    if (listeners.contains(name)) put_back(name, piece);
  }
  // Tables that those in force need may differ.
  resources->wanted_routes = nullptr;
  next.tls_slots.clear();
  index_resources(next, std::move(resources), is_all_new ? nullptr : &former);
}

}  // namespace pillion
