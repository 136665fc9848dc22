// Resolver::Channel: c-ares as a guest of the loop.
#include <ares.h>
#include <uv.h>

#include <algorithm>

#include "proxy/base/assert.h"
#include "proxy/io/poller.h"
#include "proxy/io/resolver_parts.h"

namespace pillion::io {
namespace {

// Done once; the library's global state lives as long as the process.
int library_status() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

}  // namespace

// A socket of c-ares in the loop; frees itself.
struct Resolver::Poll {
  uv_poll_t handle;
  Resolver* resolver;
  int fd;
};

Resolver::Channel::~Channel() {
  if (ares != nullptr) ares_destroy(ares);  // closes all sockets by on_socket
  DASSERT(polls.empty());
}

int Resolver::Channel::open(const Options& options) {
  ares_options o{};
  o.sock_state_cb = [](void* data, ares_socket_t fd, int readable, int writable) {
    static_cast<Channel*>(data)->on_socket(fd, readable != 0, writable != 0);
  };
  o.sock_state_cb_data = this;
  o.timeout = static_cast<int>(to_millis(options.try_timeout));
  o.tries = static_cast<int>(options.tries);
  std::string path = options.resolv_conf;
  o.resolvconf_path = path.data();
  int status = library_status();
  if (status != ARES_SUCCESS) return status;
  status = ares_init_options(
      &ares, &o,
      ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_RESOLVCONF);
  if (status != ARES_SUCCESS) {
    ares = nullptr;
    return status;
  }
  read_search();
  return options.servers.empty() ? ARES_SUCCESS : set_servers(options.servers);
}

int Resolver::Channel::set_servers(const std::vector<Address>& servers) {
  std::string list;
  for (const Address& server : servers) {
    if (!list.empty()) list += ',';
    list += server.to_string();
  }
  return ares_set_servers_ports_csv(ares, list.c_str());
}

void Resolver::Channel::read_search() {
  ares_options saved{};
  int mask = 0;
  if (ares_save_options(ares, &saved, &mask) == ARES_SUCCESS) {
    ndots = static_cast<uint32_t>(std::max(saved.ndots, 0));
    for (int i = 0; i < saved.ndomains; ++i) domains.emplace_back(saved.domains[i]);
  }
  ares_destroy_options(&saved);
}

void Resolver::Channel::on_socket(int fd, bool readable, bool writable) {
  Poll*& poll = polls[fd];
  if (!readable && !writable) {
    if (poll != nullptr) {
      uv_close(reinterpret_cast<uv_handle_t*>(&poll->handle),
               [](uv_handle_t* h) { delete reinterpret_cast<Poll*>(h); });
    }
    polls.erase(fd);
    return;
  }
  if (poll == nullptr) {
    poll = new Poll{{}, &resolver, fd};
    const int rc =
        uv_poll_init(static_cast<uv_loop_t*>(resolver.loop_.native()), &poll->handle, fd);
    if (rc != 0) {  // epoll refuses it: the query is sent again, and ends by its time limit
      Poller::note_refusal(-rc);
      delete poll;
      polls.erase(fd);
      return;
    }
  }
  const int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
  uv_poll_start(&poll->handle, events, [](uv_poll_t* handle, int status, int got) {
    auto* p = reinterpret_cast<Poll*>(handle);
    Resolver& r = *p->resolver;
    const bool failed = status < 0;
    ares_process_fd(r.channel_->ares, failed || (got & UV_READABLE) != 0 ? p->fd : ARES_SOCKET_BAD,
                    failed || (got & UV_WRITABLE) != 0 ? p->fd : ARES_SOCKET_BAD);
    r.expect_timeout();
  });
}

}  // namespace pillion::io
