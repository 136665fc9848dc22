// Resolver::Lookup: one name, through the search list, in both families.
#include <ares.h>
#include <arpa/nameser.h>
#include <netinet/in.h>

#include <span>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/io/resolver_parts.h"
#include "proxy/io/search_list.h"

namespace pillion::io {
namespace {

constexpr int kMaxRecords = 4096;

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
  return out.empty() ? ARES_ENODATA : ARES_SUCCESS;
}

int parse_v6(const unsigned char* bytes, int size, std::vector<DnsRecord>& out) {
  std::vector<ares_addr6ttl> found(kMaxRecords);
  int count = kMaxRecords;
  const int status = ares_parse_aaaa_reply(bytes, size, nullptr, found.data(), &count);
  if (status != ARES_SUCCESS) return status;
  for (const ares_addr6ttl& a : std::span(found).first(static_cast<size_t>(count))) {
    out.push_back({Address::ipv6(a.ip6addr._S6_un._S6_u8, 0), std::chrono::seconds(a.ttl)});
  }
  return out.empty() ? ARES_ENODATA : ARES_SUCCESS;
}

}  // namespace

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

}  // namespace pillion::io
