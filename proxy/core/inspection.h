#pragma once
// Inspection: a connection whose first bytes decide its filter chain (listener filters).
//
// Owned by its Listener from accept to the choice of a chain.  Bytes that were read are handed on
// with the socket.  Ends by Listener::begin, by a closed socket, or by listener_filters_timeout.

#include <memory>
#include <vector>

#include "proxy/core/client_hello.h"
#include "proxy/core/listener.h"

namespace pillion::core {

class Inspection final : public io::Deferred, public ListNode<>, private io::TransportObserver {
 public:
  Inspection(Listener& listener, WorkerContext& worker, std::unique_ptr<io::Socket> socket,
             const ConnectionInfo& info);
  void start();
  void close();

 private:
  void on_readable() override;
  void on_writable() override {}
  void on_closed(Failure) override { give_up(); }
  void on_timeout();
  bool decide();
  void count_hello();
  [[nodiscard]] bool looks_for_tls() const;
  void give_up();
  void finish();

  Listener& listener_;
  WorkerContext& worker_;
  std::unique_ptr<io::Socket> socket_;
  KeptConnectionInfo info_;
  std::vector<char> bytes_;
  std::vector<char> scratch_;
  std::string server_name_;
  ClientHello hello_;
  Sniffed sniffed_;
  io::Timer timer_ = io::Timer::of<&Inspection::on_timeout>(this);
};

}  // namespace pillion::core
