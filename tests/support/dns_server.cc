#include "tests/support/dns_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/assert.h"
#include "proxy/base/str.h"

namespace pillion::testing {
namespace {

constexpr size_t kHeader = 12;

void put16(std::string& out, unsigned value) {
  out += static_cast<char>(value >> 8 & 0xff);
  out += static_cast<char>(value & 0xff);
}

void put32(std::string& out, uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}

// Labels with their lengths, and the root's zero.
void put_name(std::string& out, std::string_view name) {
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    out += static_cast<char>(label.size());
    out += label;
    name.remove_prefix(std::min(label.size() + 1, name.size()));
  }
  out += '\0';
}

// Reads the name at `at` and moves behind it.  Questions are never compressed.
std::string take_name(std::string_view message, size_t& at) {
  std::string name;
  while (at < message.size() && message[at] != 0) {
    const auto size = static_cast<size_t>(static_cast<unsigned char>(message[at]));
    if (!name.empty()) name += '.';
    for (char c : message.substr(at + 1, size)) name += to_lower(c);
    at += 1 + size;
  }
  ++at;
  return name;
}

bool read_all(int fd, char* to, size_t size) {
  while (size > 0) {
    const ssize_t n = ::read(fd, to, size);
    if (n <= 0) return false;
    to += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

int bound_socket(int type, io::Address& address) {
  const int fd = ::socket(AF_INET, type | SOCK_CLOEXEC, 0);
  ASSERT(fd >= 0);
  sockaddr_storage sa{};
  socklen_t length = address.to_sockaddr(sa);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&sa), length) != 0) {
    ::close(fd);
    return -1;
  }
  length = sizeof sa;
  ASSERT(::getsockname(fd, reinterpret_cast<sockaddr*>(&sa), &length) == 0);
  address = io::Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&sa), length);
  return fd;
}

}  // namespace

DnsServer::DnsServer() {
  // One port for both protocols: take another if its TCP side is in use.
  while (tcp_ < 0) {
    if (udp_ >= 0) ::close(udp_);
    address_ = io::Address::ipv4(INADDR_LOOPBACK, 0);
    udp_ = bound_socket(SOCK_DGRAM, address_);
    tcp_ = bound_socket(SOCK_STREAM, address_);
  }
  ASSERT(::listen(tcp_, 16) == 0 && ::pipe(wake_) == 0);
  thread_ = std::thread([this] { run(); });
}

DnsServer::~DnsServer() {
  ::close(wake_[1]);
  thread_.join();
  for (int fd : {udp_, tcp_, wake_[0]}) ::close(fd);
}

void DnsServer::set(const std::string& name, DnsType type, DnsReply reply) {
  const std::lock_guard lock(mutex_);
  zone_[name][type] = std::move(reply);
}

void DnsServer::forget(const std::string& name) {
  const std::lock_guard lock(mutex_);
  zone_.erase(name);
}

std::vector<DnsQuestion> DnsServer::questions() const {
  const std::lock_guard lock(mutex_);
  return questions_;
}

size_t DnsServer::count(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  size_t n = 0;
  for (const DnsQuestion& q : questions_) n += q.name == name;
  return n;
}

void DnsServer::run() {
  for (;;) {
    pollfd fds[] = {{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
    ::poll(fds, 3, -1);
    if (fds[2].revents != 0) return;
    if (fds[0].revents != 0) serve_udp();
    if (fds[1].revents != 0) serve_tcp();
  }
}

void DnsServer::serve_udp() {
  char buffer[4096];
  sockaddr_storage from{};
  socklen_t length = sizeof from;
  const ssize_t n =
      ::recvfrom(udp_, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &length);
  if (n <= 0) return;
  const std::string reply = answer({buffer, static_cast<size_t>(n)}, false);
  if (reply.empty()) return;
  (void)::sendto(udp_, reply.data(), reply.size(), 0, reinterpret_cast<const sockaddr*>(&from),
                 length);
}

// One connection at a time, until the client closes it.
void DnsServer::serve_tcp() {
  const int fd = ::accept(tcp_, nullptr, nullptr);
  unsigned char size[2];
  while (read_all(fd, reinterpret_cast<char*>(size), 2)) {
    std::string message(static_cast<size_t>(size[0] << 8 | size[1]), '\0');
    if (!read_all(fd, message.data(), message.size())) break;
    const std::string reply = answer(message, true);
    std::string framed;
    put16(framed, static_cast<unsigned>(reply.size()));
    framed += reply;
    if (reply.empty() || ::write(fd, framed.data(), framed.size()) < 0) break;
  }
  ::close(fd);
}

std::string DnsServer::answer(std::string_view message, bool over_tcp) {
  if (message.size() < kHeader + 5) return {};
  size_t at = kHeader;
  DnsQuestion question;
  question.name = take_name(message, at);
  question.type = static_cast<DnsType>(static_cast<unsigned char>(message[at]) << 8 |
                                       static_cast<unsigned char>(message[at + 1]));
  question.over_tcp = over_tcp;
  const std::lock_guard lock(mutex_);
  questions_.push_back(question);
  return make_reply(message, question, at + 4);
}

std::string DnsServer::make_reply(std::string_view message, const DnsQuestion& question,
                                  size_t question_end) {
  static const DnsReply kNothing{{}, 0, 0, false, false, false};
  static const DnsReply kUnknown = DnsReply::fails(3);
  const auto reply_for = [&](const std::string& name) -> const DnsReply& {
    const auto known = zone_.find(name);
    if (known == zone_.end()) return kUnknown;
    const auto typed = known->second.find(question.type);
    if (typed != known->second.end()) return typed->second;
    const auto alias = known->second.find(DnsType::kCname);
    return alias != known->second.end() ? alias->second : kNothing;
  };
  const DnsReply* reply = &reply_for(question.name);
  if (reply->is_silent) return {};
  if (reply->is_garbage) return "nonsense";
  const bool truncated = reply->truncates_udp && !question.over_tcp;
  std::string records;
  unsigned count = 0;
  std::string owner = question.name;
  const auto add = [&](DnsType type, const DnsReply& source, const std::string& data) {
    put_name(records, owner);
    put16(records, static_cast<unsigned>(type));
    put16(records, 1);
    put32(records, source.ttl);
    put16(records, static_cast<unsigned>(data.size()));
    records += data;
    ++count;
  };
  while (!truncated && reply->records.size() == 1 && !io::Address::parse_ip(reply->records[0], 0)) {
    std::string target;
    put_name(target, reply->records[0]);
    add(DnsType::kCname, *reply, target);
    owner = reply->records[0];
    reply = &reply_for(owner);
  }
  if (!truncated) {
    for (const std::string& text : reply->records) {
      const io::Address ip = *io::Address::parse_ip(text, 0);
      const size_t size = ip.kind() == io::Address::Kind::kIpv4 ? 4 : 16;
      add(question.type, *reply, {reinterpret_cast<const char*>(ip.ip_bytes()), size});
    }
  }
  std::string out(message.substr(0, 2));
  put16(out, 0x8180u | (truncated ? 0x0200u : 0u) | reply->rcode);
  for (const unsigned n : {1u, count, 0u, 0u}) put16(out, n);
  out += message.substr(kHeader, question_end - kHeader);
  return out + records;
}

}  // namespace pillion::testing
