#pragma once
// DnsServer: a small DNS server on a free loopback port (UDP and TCP), scripted by the test.
//
//   DnsServer server;
//   server.set_a("orders.shop", {"10.0.0.1", "10.0.0.2"}, 30);
//   server.set("orders.shop", DnsType::kAaaa, DnsReply::fails(2));      // SERVFAIL
//
// Runs on a thread of its own; all methods may be called at any time.  Names it was told nothing of
// do not exist (NXDOMAIN); a known name has no records of types that were not set.

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "proxy/io/address.h"

namespace pillion::testing {

enum class DnsType : uint16_t { kA = 1, kCname = 5, kAaaa = 28 };

struct DnsReply {
  // IP addresses; or one name, which makes it a CNAME that leads to the records of that name.
  std::vector<std::string> records;
  uint32_t ttl = 60;
  uint8_t rcode = 0;           // 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED
  bool is_silent = false;      // never answers
  bool truncates_udp = false;  // answers UDP with the TC bit and nothing else
  bool is_garbage = false;     // answers with bytes that are no DNS message

  static DnsReply fails(uint8_t code) { return {{}, 0, code, false, false, false}; }
  static DnsReply silence() { return {{}, 0, 0, true, false, false}; }
};

struct DnsQuestion {
  std::string name;
  DnsType type;
  bool over_tcp;
  friend bool operator==(const DnsQuestion&, const DnsQuestion&) = default;
};

class DnsServer {
 public:
  DnsServer();
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  void set(const std::string& name, DnsType type, DnsReply reply);
  void set_a(const std::string& name, std::vector<std::string> addresses, uint32_t ttl = 60) {
    set(name, DnsType::kA, {std::move(addresses), ttl, 0, false, false, false});
  }
  void set_aaaa(const std::string& name, std::vector<std::string> addresses, uint32_t ttl = 60) {
    set(name, DnsType::kAaaa, {std::move(addresses), ttl, 0, false, false, false});
  }
  void forget(const std::string& name);

  [[nodiscard]] const io::Address& address() const { return address_; }
  // What was asked so far, in order.
  [[nodiscard]] std::vector<DnsQuestion> questions() const;
  // How often a name was asked for, all types together.
  [[nodiscard]] size_t count(std::string_view name) const;

 private:
  void run();
  void serve_udp();
  void serve_tcp();
  [[nodiscard]] std::string answer(std::string_view message, bool over_tcp);
  [[nodiscard]] std::string make_reply(std::string_view message, const DnsQuestion& question,
                                       size_t question_end);

  mutable std::mutex mutex_;
  std::map<std::string, std::map<DnsType, DnsReply>> zone_;
  std::vector<DnsQuestion> questions_;
  io::Address address_;
  int udp_ = -1;
  int tcp_ = -1;
  int wake_[2] = {-1, -1};
  std::thread thread_;
};

}  // namespace pillion::testing
