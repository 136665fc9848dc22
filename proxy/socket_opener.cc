#include "proxy/socket_opener.h"

#include <utility>

#include "proxy/base/assert.h"

namespace pillion {

SocketOpener::~SocketOpener() {
  for (const ListenSockets& sockets : opened_) close_listen_sockets(sockets);
}

bool SocketOpener::open_next() {
  if (opened_.size() == update_.new_listeners.size()) return false;
  const auto& listener = update_.new_listeners[opened_.size()].config;
  ListenSockets& sockets = opened_.emplace_back();
  if (is_stopped(stopped_, *listener)) {
    sockets.sockets.resize(workers_);
    sockets.addresses.push_back(listener->address);
    return true;
  }
  Result<ListenSockets> opened = open_listen_sockets(*listener, workers_, ours_);
  if (opened) {
    sockets = std::move(*opened);
    ours_.add(*listener);
  } else {
    failures_.push_back({listener, opened.error()});
  }
  return true;
}

void SocketOpener::leave_out(const Names& listeners) {
  DASSERT(opened_.size() == update_.new_listeners.size());
  std::vector<WorkerUpdate::NewListener> stay;
  std::vector<ListenSockets> opened;
  for (size_t i = 0; i < opened_.size(); ++i) {
    if (listeners.contains(update_.new_listeners[i].config->name)) {
      close_listen_sockets(opened_[i]);
      continue;
    }
    stay.push_back(std::move(update_.new_listeners[i]));
    opened.push_back(std::move(opened_[i]));
  }
  update_.new_listeners = std::move(stay);
  opened_ = std::move(opened);
  std::erase_if(update_.removed_listeners,
                [&listeners](const std::string& name) { return listeners.contains(name); });
}

std::vector<std::vector<io::Address>> SocketOpener::keep() {
  std::vector<std::vector<io::Address>> addresses;
  for (size_t i = 0; i < opened_.size(); ++i) {
    update_.new_listeners[i].sockets = std::move(opened_[i].sockets);
    addresses.push_back(std::move(opened_[i].addresses));
  }
  opened_.clear();
  return addresses;
}

}  // namespace pillion
