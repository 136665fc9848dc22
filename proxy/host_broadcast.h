#pragma once
// HostBroadcast: tells the workers of endpoints that have changed: one message to each of them for
// all that changed in a turn, for a control plane may say a hundred assignments at once.
//
// Owned by the Server, on its loop.  Of a cluster that changes twice the last set counts.  What is
// posted to workers otherwise and depends on hosts (a WorkerUpdate) has to come behind a flush().

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/text_map.h"
#include "proxy/io/loop.h"
#include "proxy/worker.h"

namespace pillion {

class HostBroadcast final : private io::ReadyTask {
 public:
  // Both outlive the object.
  HostBroadcast(io::Loop& loop, const std::vector<std::unique_ptr<Worker>>& workers)
      : loop_(loop), workers_(workers) {}

  void add(std::string_view cluster, const upstream::HostSetPtr& hosts) {
    if (changed_.empty()) loop_.post(*this);
    const auto it = changed_.find(cluster);
    if (it != changed_.end()) {
      it->second = hosts;
    } else {
      changed_.emplace(cluster, hosts);
    }
  }
  void flush() {
    if (changed_.empty()) return;
    const auto message = std::make_shared<const Changed>(std::exchange(changed_, {}));
    for (const std::unique_ptr<Worker>& worker : workers_) {
      worker->post([message](Worker& w) {
        for (const auto& [cluster, hosts] : *message) w.set_hosts(cluster, hosts);
      });
    }
  }

 private:
  using Changed = TextMap<upstream::HostSetPtr>;
  void run_ready() override { flush(); }

  io::Loop& loop_;
  const std::vector<std::unique_ptr<Worker>>& workers_;
  Changed changed_;
};

}  // namespace pillion
