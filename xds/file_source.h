#pragma once
// FileSource: resources of one type from a file that holds a DiscoveryResponse, as YAML or JSON,
// or encoded (.pb).  The file is followed (io/file_watch.h); what is wrong with it is told with
// line and column, and what it said before stays.
//
// A file is the state of the world, and has no version but the one it says.  It need not be there
// at the start, nor its directory: subscribe()'s timeout bounds the wait.  Read and parsed on a
// thread of its own, for it may be long; nobody waits for that thread, which may outlive the
// source.

#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>

#include "proxy/base/background_queue.h"
#include "proxy/io/file_watch.h"
#include "proxy/io/inbox.h"
#include "proxy/io/loop.h"
#include "xds/awaited.h"
#include "xds/source.h"

namespace pillion::xds {

class FileSource final : public Source, private io::FileObserver {
 public:
  // Loop and observer outlive it.
  FileSource(io::Loop& loop, ResourceType type, std::string path, SourceObserver& observer);
  ~FileSource() override;

  void start() override;
  void stop() override;
  void subscribe_all(ResourceType type, Duration timeout) override;
  void subscribe(ResourceType type, const AskedNames& names) override;
  void accept(ResourceType type) override;
  void reject(ResourceType type, std::string_view reason) override;
  void reject(ResourceType type, std::string_view reason, const std::set<std::string>&) override {
    reject(type, reason);
  }
  void answered(ResourceType type, std::string_view name) override;
  // Could it be read when it was last looked at?
  [[nodiscard]] bool is_connected() const noexcept override { return is_readable_; }
  [[nodiscard]] const std::string& version(ResourceType) const noexcept override {
    return version_;
  }
  [[nodiscard]] const SourceCounts& counts(ResourceType) const noexcept override { return counts_; }

 private:
  struct Read {
    Response response;
    std::string problem;  // not empty: it could not be read at all
  };
  // Where a reader leaves what it has read; shared with it.
  struct Desk {
    std::mutex mutex;
    FileSource* source;  // null: nobody wants it any more
  };
  void on_file_changed() override { look(); }
  void on_file_gone(const std::string& path) override;
  void watch();
  void look();
  static void read_file(const std::shared_ptr<Desk>& desk, const std::string& path,
                        ResourceType type, const std::stop_token& stop);
  void on_reader(const Desk& desk, Read&& read);
  void on_read(Read&& read);
  void take();
  void finish();
  void await(std::string_view name, Duration timeout);
  void check_fetch_timeouts();

  io::Loop& loop_;
  const ResourceType type_;
  const std::string path_;
  SourceObserver& observer_;
  io::Inbox inbox_{loop_};
  std::unique_ptr<BackgroundQueue> reader_;  // both are there from start() to stop()
  std::shared_ptr<Desk> desk_;
  std::unique_ptr<io::FileWatch> watch_;  // null: its directory is not there
  bool is_running_ = false;
  bool is_reading_ = false;
  bool is_stale_ = false;  // has changed since it was last begun to be read
  bool is_readable_ = false;
  bool is_wildcard_ = false;
  bool is_open_ = false;  // the observer has a response
  std::set<std::string> names_;
  Awaited awaited_;
  std::unique_ptr<Response> last_;  // what the file says
  bool is_due_ = false;             // last_ has not been told yet
  std::string told_version_;        // that observer_ has been told last
  std::string version_;             // that it accepted
  SourceCounts counts_;
  std::string told_problem_;
  io::Timer watch_timer_ = io::Timer::of<&FileSource::watch>(this);
  io::Timer fetch_timer_ = io::Timer::of<&FileSource::check_fetch_timeouts>(this);
};

}  // namespace pillion::xds
