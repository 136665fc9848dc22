#pragma once
// What a Resolver consists of.  For resolver*.cc.

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proxy/io/resolver.h"

struct ares_channeldata;

namespace pillion::io {

// The servers to ask, and c-ares' sockets in the loop.
struct Resolver::Channel {
  explicit Channel(Resolver& r) : resolver(r) {}
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // A status of c-ares.
  int open(const Options& options);
  int set_servers(const std::vector<Address>& servers);
  void read_search();
  // c-ares opened, uses or is about to close a socket.
  void on_socket(int fd, bool readable, bool writable);

  Resolver& resolver;
  ares_channeldata* ares = nullptr;
  std::unordered_map<int, Poll*> polls;
  std::vector<std::string> domains;
  uint32_t ndots = 1;
  uint32_t open_queries = 0;
  bool is_stale = false;  // failed: made anew once idle, for resolv.conf may have changed
};

struct Resolver::Query {
  Lookup* lookup;
  bool v6;
};

// Lives until its observer has the answer (or lost interest) and c-ares forgot its queries.
struct Resolver::Lookup final : ListNode<>, ListNode<Resolver::WaitingTag>, ReadyTask {
  Lookup(Resolver& r, std::string_view n, DnsFamilies f, DnsObserver& o)
      : resolver(r), observer(&o), name(n), families(f) {}
  ~Lookup() = default;

  void begin();
  void ask_next();
  void on_query_done(const Query& query, int status, const unsigned char* bytes, int size);
  void on_name_done();
  void on_deadline();
  void finish(DnsAnswer result);
  void end() noexcept;
  void run_ready() override;
  void detach() noexcept;
  void delete_if_done() {
    if (observer == nullptr && open == 0) delete this;
  }

  Resolver& resolver;
  DnsObserver* observer;
  const std::string name;
  const DnsFamilies families;
  std::vector<std::string> names;
  size_t next_name = 0;
  Query queries[2] = {{this, false}, {this, true}};
  uint32_t open = 0;         // queries that c-ares holds
  bool is_active = false;    // counts among the resolver's kMaxActive
  bool is_finished = false;  // the answer is made, or nobody wants it any more
  DnsAnswer answer;
  Timer deadline = Timer::of<&Lookup::on_deadline>(this);
};

// In either family.
inline bool has_any(const DnsAnswer& answer) noexcept {
  return !answer.v4.records.empty() || !answer.v6.records.empty();
}

}  // namespace pillion::io
