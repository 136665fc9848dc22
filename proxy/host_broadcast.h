#pragma once
// HostBroadcast: tells the workers of endpoints that have changed, and of their health: one message
// to each of them for all that changed in a turn, for a control plane may say a hundred assignments
// at once.  A worker that has not taken the last message gets no further one until it has: what
// comes meanwhile is gathered, so that a slow one does not find a queue of rebuilds.
//
// Owned by the Server, on its loop.  Of a cluster that changes twice the last set counts.  What is
// posted to workers otherwise and depends on hosts (a WorkerUpdate) has to come behind a flush().
// Workers answer with the sets that they had: nothing large dies on them.  Answers wake control up
// only while something waits for them; else they are read with the next change, or after a second.
// They are stopped before the broadcast ends.

#include <atomic>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/io/inbox.h"
#include "proxy/io/loop.h"
#include "proxy/worker.h"

namespace pillion {

class HostBroadcast final : private io::ReadyTask {
 public:
  // Frees what workers had.
  using Retire = std::function<void(Worker::FormerHosts)>;

  // Both outlive the object.
  HostBroadcast(io::Loop& loop, const std::vector<std::unique_ptr<Worker>>& workers, Retire retire)
      : loop_(loop), workers_(workers), retire_(std::move(retire)) {}

  void add(std::string_view cluster, const upstream::HostSetPtr& hosts);
  void add_health(std::string_view cluster);
  // Tells at once what there is to tell, whether they have taken the last message or not.
  void flush() { tell(true); }
  // Messages that were not taken yet; looks for answers.
  [[nodiscard]] size_t under_way();

 private:
  struct Line {  // to a worker
    size_t under_way = 0;
    HostNews late;  // that waits for it to take the last message
  };

  void run_ready() override { tell(false); }
  void tell(bool at_once);
  void send(size_t worker, std::shared_ptr<const HostNews> news);
  void on_taken(size_t worker, Worker::FormerHosts former);
  void read_answers() { inbox_.run_posted(); }
  void note_late();
  void wait_for_answers();
  void read_late_answers();

  static constexpr Duration kAnswersWait = std::chrono::seconds(1);
  io::Loop& loop_;
  const std::vector<std::unique_ptr<Worker>>& workers_;
  const Retire retire_;
  HostNews changed_;
  std::vector<Line> lines_;           // in the order of workers_
  std::atomic<bool> is_late_{false};  // a line has what is late
  io::Timer answers_timer_ = io::Timer::of<&HostBroadcast::read_late_answers>(this);
  io::Inbox inbox_{loop_};
};

}  // namespace pillion
