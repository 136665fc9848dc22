#include "proxy/io/resolver.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <uv.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/base/str.h"
#include "proxy/io/search_list.h"

namespace pillion::io {
namespace {

constexpr int kMaxRecords = 4096;

// Done once; the library's global state lives as long as the process.
int library_status() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

DnsStatus status_of(int ares_status) noexcept {
  switch (ares_status) {
    case ARES_SUCCESS:
      return DnsStatus::kFound;
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_EBADNAME:
      return DnsStatus::kNotFound;
    default:
      return DnsStatus::kFailed;
  }
}

// The A records of an answer, their TTLs capped by those of the CNAMEs that lead to them.
int parse_v4(const unsigned char* bytes, int size, std::vector<DnsRecord>& out) {
  std::vector<ares_addrttl> found(kMaxRecords);
  int count = kMaxRecords;
  const int status = ares_parse_a_reply(bytes, size, nullptr, found.data(), &count);
  if (status != ARES_SUCCESS) return status;
  for (const ares_addrttl& a : std::span(found).first(static_cast<size_t>(count))) {
    out.push_back({Address::ipv4(ntohl(a.ipaddr.s_addr), 0), std::chrono::seconds(a.ttl)});
  }
  return out.empty() ? static_cast<int>(ARES_ENODATA) : static_cast<int>(ARES_SUCCESS);
}

int parse_v6(const unsigned char* bytes, int size, std::vector<DnsRecord>& out) {
  std::vector<ares_addr6ttl> found(kMaxRecords);
  int count = kMaxRecords;
  const int status = ares_parse_aaaa_reply(bytes, size, nullptr, found.data(), &count);
  if (status != ARES_SUCCESS) return status;
  for (const ares_addr6ttl& a : std::span(found).first(static_cast<size_t>(count))) {
    out.push_back({Address::ipv6(a.ip6addr._S6_un._S6_u8, 0), std::chrono::seconds(a.ttl)});
  }
  return out.empty() ? static_cast<int>(ARES_ENODATA) : static_cast<int>(ARES_SUCCESS);
}

// Splits addresses known without a server by the families that were asked for.
DnsAnswer answer_of(const std::vector<Address>& addresses, DnsFamilies families) {
  DnsAnswer answer;
  for (Address address : addresses) {
    const bool is_v4 = address.kind() == Address::Kind::kIpv4;
    address.set_port(0);
    if (is_v4 ? families.v4 : families.v6) {
      (is_v4 ? answer.v4 : answer.v6).records.push_back({address, {}});
    }
  }
  const auto judge = [](DnsFamilyAnswer& family, bool asked) {
    if (asked) family.status = family.records.empty() ? DnsStatus::kNotFound : DnsStatus::kFound;
  };
  judge(answer.v4, families.v4);
  judge(answer.v6, families.v6);
  return answer;
}

bool has_any(const DnsAnswer& answer) noexcept {
  return !answer.v4.records.empty() || !answer.v6.records.empty();
}

}  // namespace

// A socket of c-ares in the loop; frees itself.
struct Resolver::Poll {
  uv_poll_t handle;
  Resolver* resolver;
  int fd;
};

struct Resolver::Channel {
  explicit Channel(Resolver& r) : resolver(r) {}
  ~Channel() {
    if (ares != nullptr) ares_destroy(ares);  // closes all sockets by on_socket
    DASSERT(polls.empty());
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  int open(const Options& options);
  int set_servers(const std::vector<Address>& servers);
  void read_search();
  // c-ares opened, uses or is about to close a socket.
  void on_socket(int fd, bool readable, bool writable);

  Resolver& resolver;
  ares_channel ares = nullptr;
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
  return options.servers.empty() ? static_cast<int>(ARES_SUCCESS) : set_servers(options.servers);
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

void Resolver::Lookup::begin() {
  is_active = true;
  ++resolver.active_;
  std::string reason;
  if (!resolver.ensure_channel(&reason)) {
    if (families.v4) answer.v4.status = DnsStatus::kFailed;
    if (families.v6) answer.v6.status = DnsStatus::kFailed;
    answer.reason = std::move(reason);
    return finish(std::move(answer));
  }
  names = search_list(name, resolver.channel_->ndots, resolver.channel_->domains);
  resolver.loop_.arm(deadline, resolver.options_.deadline);
  ask_next();
  resolver.expect_timeout();
}

void Resolver::Lookup::ask_next() {
  const std::string& full_name = names[next_name++];
  answer = {};
  // Counted before the calls, which may fail at once.
  open = static_cast<uint32_t>(families.v4) + static_cast<uint32_t>(families.v6);
  Channel& channel = *resolver.channel_;
  channel.open_queries += open;
  for (Query& query : queries) {
    if (query.v6 ? !families.v6 : !families.v4) continue;
    ares_query(
        channel.ares, full_name.c_str(), ns_c_in, query.v6 ? ns_t_aaaa : ns_t_a,
        [](void* arg, int status, int, unsigned char* bytes, int size) {
          auto* q = static_cast<Query*>(arg);
          q->lookup->on_query_done(*q, status, bytes, size);
        },
        &query);
  }
}

void Resolver::Lookup::on_query_done(const Query& query, int status, const unsigned char* bytes,
                                     int size) {
  --open;
  --resolver.channel_->open_queries;
  if (status == ARES_EDESTRUCTION) return;  // the Resolver deletes its lookups itself
  if (is_finished) return delete_if_done();
  DnsFamilyAnswer& family = query.v6 ? answer.v6 : answer.v4;
  if (status == ARES_SUCCESS) {
    status =
        query.v6 ? parse_v6(bytes, size, family.records) : parse_v4(bytes, size, family.records);
  }
  family.status = status_of(status);
  if (family.status == DnsStatus::kFailed) {
    answer.reason = str(names[next_name - 1], ": ", std::string_view(ares_strerror(status)));
    resolver.channel_->is_stale = true;
  }
  if (open == 0) on_name_done();
}

void Resolver::Lookup::on_name_done() {
  const bool failed =
      answer.v4.status == DnsStatus::kFailed || answer.v6.status == DnsStatus::kFailed;
  if (has_any(answer) || failed || next_name == names.size()) return finish(std::move(answer));
  ask_next();
}

void Resolver::Lookup::on_deadline() {
  const auto give_up = [](DnsFamilyAnswer& family, bool asked) {
    if (asked && family.status == DnsStatus::kNotAsked) family.status = DnsStatus::kFailed;
  };
  give_up(answer.v4, families.v4);
  give_up(answer.v6, families.v6);
  answer.reason = str(names[next_name - 1], ": no answer in time");
  resolver.channel_->is_stale = true;
  finish(std::move(answer));
}

void Resolver::Lookup::finish(DnsAnswer result) {
  answer = std::move(result);
  end();
  resolver.loop_.post(*this);
}

void Resolver::Lookup::end() noexcept {
  is_finished = true;
  deadline.cancel();
  ListNode<WaitingTag>::unlink();
  if (!std::exchange(is_active, false)) return;
  --resolver.active_;
  resolver.loop_.post(resolver.next_);
}

void Resolver::Lookup::run_ready() {
  DnsObserver* to = observer;
  DnsAnswer result = std::move(answer);
  detach();
  delete_if_done();
  to->on_dns_answer(std::move(result));
}

void Resolver::Lookup::detach() noexcept {
  observer->resolver_ = nullptr;
  observer->lookup_ = nullptr;
  observer = nullptr;
  end();
  ListNode<ReadyTag>::unlink();
}

DnsObserver::~DnsObserver() {
  if (resolver_ != nullptr) resolver_->cancel(*this);
}

Resolver::Resolver(Loop& loop, Options options) : loop_(loop), options_(std::move(options)) {}

Resolver::~Resolver() {
  if (channel_ != nullptr) {
    // Its destruction calls back each query, through channel_.
    ares_destroy(std::exchange(channel_->ares, nullptr));
  }
  while (Lookup* lookup = lookups_.front()) {
    if (lookup->observer != nullptr) lookup->detach();
    delete lookup;
  }
}

bool Resolver::ensure_channel(std::string* reason) {
  if (channel_ != nullptr && channel_->is_stale && channel_->open_queries == 0) channel_.reset();
  if (channel_ != nullptr) return true;
  auto channel = std::make_unique<Channel>(*this);
  if (const int status = channel->open(options_); status != ARES_SUCCESS) {
    *reason =
        str("cannot read ", options_.resolv_conf, ": ", std::string_view(ares_strerror(status)));
    return false;
  }
  channel_ = std::move(channel);
  return true;
}

void Resolver::resolve(std::string_view name, DnsFamilies families, DnsObserver& observer) {
  DASSERT(observer.lookup_ == nullptr && (families.v4 || families.v6));
  auto* lookup = new Lookup(*this, name, families, observer);
  lookups_.push_back(*lookup);
  observer.resolver_ = this;
  observer.lookup_ = lookup;
  if (const Result<Address> ip = Address::parse_ip(name, 0)) {
    return lookup->finish(answer_of({*ip}, families));
  }
  DnsAnswer known = answer_of(find_in_hosts(options_.hosts, name), families);
  if (has_any(known)) return lookup->finish(std::move(known));
  if (is_localhost(name)) {
    const uint8_t v6[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    return lookup->finish(
        answer_of({Address::ipv4(INADDR_LOOPBACK, 0), Address::ipv6(v6, 0)}, families));
  }
  waiting_.push_back(*lookup);
  begin_waiting();
}

void Resolver::begin_waiting() {
  while (active_ < kMaxActive && !waiting_.empty()) waiting_.pop_front()->begin();
}

void Resolver::cancel(DnsObserver& observer) noexcept {
  auto* lookup = static_cast<Lookup*>(observer.lookup_);
  if (lookup == nullptr) return;
  lookup->detach();
  lookup->delete_if_done();
}

void Resolver::expect_timeout() {
  if (channel_->open_queries == 0) return timer_.cancel();
  // Whatever was sent just now times out no sooner than this.
  const Instant next = loop_.now() + options_.try_timeout;
  if (!timer_.is_armed() || timer_.deadline() > next) loop_.arm_at(timer_, next);
}

void Resolver::on_timer() {
  ares_process_fd(channel_->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  timeval room{};
  if (const timeval* next = ares_timeout(channel_->ares, nullptr, &room)) {
    loop_.arm(timer_,
              std::chrono::seconds(next->tv_sec) + std::chrono::microseconds(next->tv_usec));
  }
}

}  // namespace pillion::io
