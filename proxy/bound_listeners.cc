#include "proxy/bound_listeners.h"

#include <utility>

#include "proxy/base/log.h"
#include "proxy/base/str.h"

namespace pillion {

void BoundListeners::take(const WorkerUpdate& update, std::vector<std::vector<io::Address>> bound,
                          StoppedListeners stopped) {
  for (const std::string& name : update.removed_listeners) bound_.erase(name);
  for (size_t i = 0; i < bound.size(); ++i) {
    const auto& config = update.new_listeners[i].config;
    bound_[config->name] = {config, std::move(bound[i]), is_stopped(stopped, *config)};
  }
  for (const auto& config : update.changed_listeners) bound_[config->name].config = config;
  if (!update.removed_listeners.empty() || !bound.empty()) ours_ = nullptr;
}

const BoundListeners::Bound* BoundListeners::find(std::string_view name) const {
  const auto it = bound_.find(name);
  return it == bound_.end() ? nullptr : &it->second;
}

std::vector<io::Address> BoundListeners::addresses() const {
  std::vector<io::Address> all;
  for (const auto& [name, b] : bound_)
    all.insert(all.end(), b.addresses.begin(), b.addresses.end());
  return all;
}

std::shared_ptr<const OurAddresses> BoundListeners::ours() const {
  if (ours_ != nullptr) return ours_;
  auto made = std::make_shared<OurAddresses>();
  for (const auto& [name, b] : bound_)
    if (!b.is_stopped) made->add(*b.config);
  return ours_ = std::move(made);
}

void BoundListeners::log_listening(const std::vector<std::string>& names) const {
  for (const std::string& name : names) {
    const Bound* bound = find(name);
    if (bound == nullptr) continue;
    if (bound->is_stopped) {
      log::info(log::kConfig, "listener without sockets: listeners were stopped",
                {{"listener", name}, {"address", bound->config->address}});
      continue;
    }
    if (!bound->config->bind_to_port) {
      log::info(log::kConfig, "listener without a socket of its own",
                {{"listener", name}, {"address", bound->config->address}});
      continue;
    }
    std::string addresses;
    for (const io::Address& address : bound->addresses)
      addresses += str(addresses.empty() ? "" : " ", address.to_string());
    log::info(log::kConfig, "listening", {{"listener", name}, {"address", addresses}});
  }
}

}  // namespace pillion
