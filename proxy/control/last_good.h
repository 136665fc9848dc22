#pragma once
// LastGood: what the control plane said last and was accepted, kept in a file
// (--last-good-cache), so that a process that is started again while nobody answers begins from it.
//
// Owned by Subscriptions, on the control loop:
//
//   start()                           reads the file, for what was said to a process before
//   recall() -> on_last_good(), once  it is needed: nobody answers
//   heard(response)  ->  answered()   for each response of the aggregated stream; what is said
//   takes
//                                     the place of what was read, type by type and name by name
//   forget(), confirm()               what is not wanted, or not said, any more leaves
//
// Control pays for what changes alone; a thread of its own reads, keeps the state and writes it,
// some seconds after a change and by rename, readable to its owner alone.  A write that takes long
// makes the next one wait ten times as long, up to a minute.  The file is used only if its hash is
// right and the node is the same.  Secrets are never in it, nor any resource with a key or password
// written out: these are missing after such a start, and the log says which.

#include <array>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/background_queue.h"
#include "proxy/base/result.h"
#include "proxy/control/last_good_state.h"
#include "proxy/io/inbox.h"
#include "proxy/io/loop.h"
#include "xds/discovery_message.h"

namespace pillion {

class LastGoodObserver {
 public:
  // As one response for each type; none: there is nothing, or it cannot be used.
  virtual void on_last_good(std::vector<xds::Response>&& responses) = 0;

 protected:
  ~LastGoodObserver() = default;
};

class LastGood {
 public:
  // `owner`: whose resources they are; those of another are not used.
  LastGood(io::Loop& loop, std::string path, std::string owner, LastGoodObserver& observer);
  // Writes what has not been written yet.
  ~LastGood();

  void start();
  void recall();

  void heard(const xds::Response& response);
  // `wrong` empty: all of it was accepted; else all but `refused`, or, if that is null, nothing.
  void answered(xds::ResourceType type, std::string_view wrong,
                const std::set<std::string>* refused);
  void forget(xds::ResourceType type, const std::string& name);
  void forget_all(xds::ResourceType type);
  // The control plane has had its time: of what was read and not said again, these alone stay.
  void confirm(xds::ResourceType type, std::set<std::string> wanted);

 private:
  // What the thread is to do, and what became of it.
  struct Job {
    bool reads = false;
    bool recalls = false;
    bool writes = false;
    LastGoodChanges changes;

    bool is_there = false;  // a file
    Status<> read = Ok{};
    Status<> written = Ok{};
    std::vector<xds::Response> recalled;
    std::vector<std::string> left_out;
    Duration took{};
  };
  void changed();
  void begin_write();
  void begin_job();
  void run(Job& job);
  void on_done(Job& job);
  void note_written(const Job& job);

  io::Loop& loop_;
  const std::string path_;
  const std::string owner_;
  LastGoodObserver& observer_;
  LastGoodChanges changes_;  // since the last write began
  std::array<std::unique_ptr<xds::Response>, xds::kResourceTypes> open_;
  Job wanted_;
  LastGoodState state_;  // the thread's, while is_busy_
  bool is_busy_ = false;
  Duration delay_;  // of the next write
  io::Inbox inbox_{loop_};
  BackgroundQueue thread_;
  io::Timer timer_ = io::Timer::of<&LastGood::begin_write>(this);
};

}  // namespace pillion
