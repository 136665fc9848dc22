#include "proxy/control/last_good.h"

#include <algorithm>
#include <utility>

#include "proxy/base/background_thread.h"
#include "proxy/base/log.h"

namespace pillion {
namespace {

using xds::ResourceType;

// How long a change may be lost; changes come in crowds.
constexpr Duration kWriteDelay = std::chrono::seconds(2);
// A large state, or a slow disk, is not written all the time.
constexpr int kRestsPerWrite = 10;
constexpr Duration kLongestDelay = std::chrono::minutes(1);

}  // namespace

LastGood::LastGood(io::Loop& loop, std::string path, std::string owner, LastGoodObserver& observer)
    : loop_(loop),
      path_(std::move(path)),
      owner_(std::move(owner)),
      observer_(observer),
      delay_(kWriteDelay) {}

LastGood::~LastGood() {
  thread_.wait();
  if (changes_.empty()) return;
  wanted_.writes = true;
  wanted_.changes = std::move(changes_);
  run(wanted_);
}

// ---- what is said ----

void LastGood::heard(const xds::Response& response) {
  if (response.type == ResourceType::kSecrets || !response.wrong.empty()) return;
  open_[static_cast<size_t>(response.type)] = std::make_unique<xds::Response>(response);
}

void LastGood::answered(ResourceType type, std::string_view wrong,
                        const std::set<std::string>* refused) {
  static const std::set<std::string> kNone;
  const auto open = std::exchange(open_[static_cast<size_t>(type)], nullptr);
  if (open == nullptr) return;
  if (!wrong.empty() && refused == nullptr) {
    changes_.keep(*open);
  } else {
    changes_.put(*open, wrong.empty() ? kNone : *refused);
  }
  changed();
}

void LastGood::forget(ResourceType type, const std::string& name) {
  changes_.remove(type, name);
  changed();
}

void LastGood::forget_all(ResourceType type) {
  changes_.remove_all(type);
  changed();
}

void LastGood::confirm(ResourceType type, std::set<std::string> wanted) {
  changes_.confirm(type, std::move(wanted));
  changed();
}

// ---- the thread ----

void LastGood::start() {
  wanted_.reads = true;
  begin_job();
}

void LastGood::recall() {
  wanted_.recalls = true;
  begin_job();
}

void LastGood::changed() {
  if (!wanted_.writes && !timer_.is_armed()) loop_.arm(timer_, delay_);
}

void LastGood::begin_write() {
  wanted_.writes = true;
  begin_job();
}

void LastGood::begin_job() {
  if (is_busy_ || !(wanted_.reads || wanted_.recalls || wanted_.writes)) return;
  const auto job = std::make_shared<Job>(std::exchange(wanted_, {}));
  if (job->writes) job->changes = std::exchange(changes_, {});
  is_busy_ = true;
  thread_.post([this, job](const std::stop_token&) {
    if (job->writes) stand_back();
    run(*job);
    inbox_.post([this, job] { on_done(*job); });
  });
}

// On the thread, or when there is none any more.
void LastGood::run(Job& job) {
  const Instant begin = MonotonicClock::now();
  if (job.reads) job.read = state_.read(path_, owner_, job.is_there);
  if (job.recalls) job.recalled = state_.responses();
  if (job.writes) {
    state_.apply(std::move(job.changes));
    job.written = state_.write(path_, owner_, job.left_out);
  }
  job.took = MonotonicClock::now() - begin;
}

void LastGood::on_done(Job& job) {
  is_busy_ = false;
  if (!job.read && !job.is_there) {
    log::info(log::kConfig, "there is no last good state yet",
              {{"path", path_}, {"reason", job.read.error()}});
  } else if (!job.read) {
    log::warning(log::kConfig, "the last good state cannot be used",
                 {{"path", path_}, {"reason", job.read.error()}});
  }
  if (job.writes) note_written(job);
  begin_job();
  if (job.recalls) observer_.on_last_good(std::move(job.recalled));
}

// What has changed meanwhile has its time from now on.
void LastGood::note_written(const Job& job) {
  if (!job.written)
    log::warning(log::kConfig, "cannot keep the last good state",
                 {{"reason", job.written.error()}});
  for (const std::string& place : job.left_out)
    log::warning(log::kConfig, "has a secret in it, and will be missing in the last good state",
                 {{"resource", place}});
  delay_ = std::clamp<Duration>(kRestsPerWrite * job.took, kWriteDelay, kLongestDelay);
  timer_.cancel();
  wanted_.writes = false;
  if (!changes_.empty()) changed();
}

}  // namespace pillion
