#include "proxy/io/resolver.h"

#include <ares.h>
#include <netinet/in.h>

#include <utility>

#include "proxy/base/assert.h"
#include "proxy/base/str.h"
#include "proxy/io/resolver_parts.h"
#include "proxy/io/search_list.h"

namespace pillion::io {
namespace {

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

}  // namespace

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
