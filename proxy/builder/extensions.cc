#include "proxy/builder/extensions.h"

#include <algorithm>
#include <utility>

namespace pillion {
namespace {

template <typename Fn>
void for_each_extension(const Resources& resources, Fn&& fn) {
  const auto look = [&fn](const CompiledListener& listener) {
    for (const auto& item : listener.extensions) fn(item.first, item.second);
  };
  const auto visit = [&look](const Piece<CompiledListener>& piece) {
    if (piece.newest != nullptr) look(*piece.newest);
    if (piece.active != nullptr && piece.waits()) look(*piece.active);
  };
  for (const auto& piece : resources.file_listeners) visit(piece);
  for (const auto& [name, piece] : resources.listeners) visit(piece);
}

}  // namespace

WantedNames wanted_extensions(const Resources& resources) {
  WantedNames names;
  for_each_extension(resources,
                     [&](const std::string& name, const CompiledListener::Extension& extension) {
                       names.emplace(name, Wanted{extension.timeout, extension.source});
                     });
  return names;
}

std::set<std::string> extension_types(const Resources& resources, std::string_view name) {
  std::set<std::string> types;
  bool is_first = true;
  for_each_extension(resources, [&](const std::string& other,
                                    const CompiledListener::Extension& extension) {
    if (other != name) return;
    if (std::exchange(is_first, false)) types = extension.types;
    std::erase_if(types, [&](const std::string& type) { return !extension.types.contains(type); });
  });
  return types;
}

ResourceUsers extension_users(const Resources& resources) {
  ResourceUsers users;
  for_each_extension(resources,
                     [&](const std::string& name, const CompiledListener::Extension& extension) {
                       std::vector<std::string_view>& list = users[name];
                       for (const std::string_view point : extension.points)
                         if (std::ranges::find(list, point) == list.end()) list.push_back(point);
                     });
  return users;
}

bool touches_extensions(const Resources& before, const Resources& after) {
  const auto names_any = [](const Piece<CompiledListener>* piece) {
    if (piece == nullptr) return false;
    return (piece->newest != nullptr && !piece->newest->extensions.empty()) ||
           (piece->active != nullptr && !piece->active->extensions.empty());
  };
  bool touches = false;
  diff(before.extensions, after.extensions,
       [&touches](std::string_view, const auto*, const auto*) { touches = true; });
  diff(before.listeners, after.listeners, [&](std::string_view, const auto* a, const auto* b) {
    touches |= names_any(a) || names_any(b);
  });
  // The file's are few.
  const auto any_of_file = [&names_any](const Resources& resources) {
    return std::ranges::any_of(resources.file_listeners,
                               [&names_any](const auto& piece) { return names_any(&piece); });
  };
  return touches || any_of_file(before) || any_of_file(after);
}

void ExtensionUpdates::use(const Resources& resources) {
  wanted_ = wanted_extensions(resources);
  std::erase_if(given_up_, [this](const std::string& name) { return !wanted_.contains(name); });
  stats_.keep(extension_users(resources), [this](std::string_view name, std::string_view point) {
    return registry_.block<stats::ExtensionStats>(stats::kControl, point, name);
  });
  count_conflicts(resources);
}

void ExtensionUpdates::on_response(const xds::Response& response) {
  version_ = response.version;
  for (const xds::Resource& resource : response.resources) building_.push_back(resource.name);
}

void ExtensionUpdates::count(const std::string& name, const Piece<CompiledExtension>& piece,
                             Duration took) {
  if (!piece.error) return stats_.on_success(name, version_, piece.bytes_hash, took);
  stats_.on_rejected(name);
  stats_.for_each(name, [](stats::ExtensionStats& block) { block.config_fail.inc(); });
}

// One that came before whoever names it now, and takes no filter of its type.
void ExtensionUpdates::count_conflicts(const Resources& resources) {
  std::set<std::string> now;
  for_each_extension(resources,
                     [&](const std::string& name, const CompiledListener::Extension& extension) {
                       const bool is_used = extension.used != nullptr;
                       if (is_used && !extension.types.contains(extension.used->type))
                         now.insert(name);
                     });
  for (const std::string& name : now) {
    if (conflicts_.contains(name)) continue;
    stats_.for_each(name, [](stats::ExtensionStats& block) { block.config_conflict.inc(); });
  }
  conflicts_ = std::move(now);
}

void ExtensionUpdates::on_fetch_timeout(const std::set<std::string>& names) {
  given_up_.insert(names.begin(), names.end());
  for (const std::string& name : names) stats_.on_fetch_timeout(name);
}

}  // namespace pillion
