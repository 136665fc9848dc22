#include "proxy/bound_listeners.h"

#include <utility>

#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "proxy/listen_sockets.h"

namespace pillion {

Status<BoundListeners::NotOpened> BoundListeners::open(WorkerUpdate& update, uint32_t workers) {
  const std::vector<io::Address> ours =
      update.new_listeners.empty() ? std::vector<io::Address>() : addresses();
  std::vector<ListenSockets> opened;
  for (WorkerUpdate::NewListener& added : update.new_listeners) {
    Result<ListenSockets> sockets = open_listen_sockets(*added.config, workers, ours);
    if (!sockets) {
      for (const ListenSockets& s : opened) close_listen_sockets(s);
      return Error<NotOpened>{{added.config->name, sockets.error()}};
    }
    added.sockets = sockets->sockets;
    opened.push_back(std::move(*sockets));
  }
  for (const std::string& name : update.removed_listeners) bound_.erase(name);
  for (size_t i = 0; i < opened.size(); ++i) {
    const auto& config = update.new_listeners[i].config;
    bound_[config->name] = {config, std::move(opened[i].addresses)};
  }
  for (const auto& config : update.changed_listeners) bound_[config->name].config = config;
  return Ok{};
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

void BoundListeners::log_listening(const std::vector<std::string>& names) const {
  for (const std::string& name : names) {
    const Bound* bound = find(name);
    if (bound == nullptr) continue;
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
