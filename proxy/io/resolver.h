#pragma once
// Resolver: names to addresses, asynchronously and with their TTL, by c-ares.
//
// One per loop (the control loop's serves discovery).  It reads /etc/resolv.conf (servers, search
// domains, ndots; again after a failure, so that a changed file is noticed) and /etc/hosts.  Both
// families are asked for each name in turn: only when neither family has it, the next search domain
// is tried, so that an answer never mixes two names.  A failure (timeout, SERVFAIL, ...) ends the
// search, because another domain's answer could be another service.
//
// An idle Resolver has no socket and no timer.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/intrusive_list.h"
#include "proxy/io/address.h"
#include "proxy/io/loop.h"

namespace pillion::io {

enum class DnsStatus : uint8_t {
  kNotAsked,
  kFound,
  kNotFound,  // the servers say that there is none (NXDOMAIN, or no records of this family)
  kFailed,    // nobody can tell: timeout, SERVFAIL, no server ...
};

struct DnsRecord {
  Address address;             // port 0
  std::chrono::seconds ttl{};  // 0 also for what does not come from DNS
  friend bool operator==(const DnsRecord&, const DnsRecord&) = default;
};

struct DnsFamilyAnswer {
  DnsStatus status = DnsStatus::kNotAsked;
  std::vector<DnsRecord> records;
};

struct DnsAnswer {
  DnsFamilyAnswer v4;
  DnsFamilyAnswer v6;
  std::string reason;  // of a failure, for the log
};

struct DnsFamilies {
  bool v4 = true;
  bool v6 = true;
};

class Resolver;

// Who asks.  One lookup at a time; its destructor cancels.
class DnsObserver {
 public:
  // Never inside resolve().  The observer may ask again or die.
  virtual void on_dns_answer(DnsAnswer answer) = 0;

 protected:
  DnsObserver() = default;
  DnsObserver(const DnsObserver&) = delete;
  DnsObserver& operator=(const DnsObserver&) = delete;
  ~DnsObserver();

 private:
  friend class Resolver;
  Resolver* resolver_ = nullptr;
  void* lookup_ = nullptr;
};

class Resolver {
 public:
  struct Options {
    std::vector<Address> servers;  // empty: those of resolv.conf
    std::string resolv_conf = "/etc/resolv.conf";
    std::string hosts = "/etc/hosts";
    Duration try_timeout = std::chrono::seconds(2);  // of the first try; doubles with each
    uint32_t tries = 3;                              // of each server
    Duration deadline = std::chrono::seconds(10);    // of a whole lookup
  };
  // `loop` outlives it.
  explicit Resolver(Loop& loop) : Resolver(loop, Options()) {}
  Resolver(Loop& loop, Options options);
  ~Resolver();  // observers that wait are never called
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Calls per observer match: resolve (on_dns_answer | cancel).  An IP address resolves to itself.
  void resolve(std::string_view name, DnsFamilies families, DnsObserver& observer);
  void cancel(DnsObserver& observer) noexcept;

 private:
  struct Channel;
  struct Lookup;
  struct Query;
  struct Poll;
  struct WaitingTag {};
  friend class DnsObserver;
  // More at a time would overrun the receive buffers of small DNS servers, which means retries.
  static constexpr uint32_t kMaxActive = 64;
  // Runs begin_waiting() later in the turn.
  struct Next final : ReadyTask {
    explicit Next(Resolver& r) : resolver(r) {}
    void run_ready() override { resolver.begin_waiting(); }
    Resolver& resolver;
  };

  void begin_waiting();
  bool ensure_channel(std::string* reason);
  // Arms the timer for queries that were just sent; on_timer() knows better when it fires.
  void expect_timeout();
  void on_timer();

  Loop& loop_;
  const Options options_;
  std::unique_ptr<Channel> channel_;
  IntrusiveList<Lookup> lookups_;
  IntrusiveList<Lookup, WaitingTag> waiting_;
  uint32_t active_ = 0;
  Next next_{*this};
  Timer timer_ = Timer::of<&Resolver::on_timer>(this);
};

}  // namespace pillion::io
