#include "xds/file_source.h"

#include <utility>

#include "proxy/base/assert.h"
#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "xds/file_response.h"

namespace pillion::xds {
namespace {

// A directory that is not there cannot be watched: how often it is looked for.
constexpr Duration kRetryWatch = std::chrono::seconds(1);

}  // namespace

FileSource::FileSource(io::Loop& loop, ResourceType type, std::string path,
                       SourceObserver& observer)
    : loop_(loop), type_(type), path_(std::move(path)), observer_(observer) {}

FileSource::~FileSource() { stop(); }

void FileSource::start() {
  if (std::exchange(is_running_, true)) return;
  reader_ = std::make_unique<BackgroundQueue>();
  desk_ = std::make_shared<Desk>();
  desk_->source = this;
  watch();
}

void FileSource::stop() {
  if (!std::exchange(is_running_, false)) return;
  watch_timer_.cancel();
  fetch_timer_.cancel();
  watch_.reset();
  {
    const std::lock_guard lock(desk_->mutex);
    desk_->source = nullptr;
  }
  desk_.reset();
  reader_.reset();
  is_reading_ = is_stale_ = false;
}

// ---- the file ----

void FileSource::watch() {
  io::FileObserver& observer = *this;
  if (auto made = io::FileWatch::make(loop_, path_, observer)) {
    watch_ = std::move(*made);
  } else {
    loop_.arm(watch_timer_, kRetryWatch);
  }
  look();
}

void FileSource::on_file_gone(const std::string& path) { on_read({{}, str(path, " is gone")}); }

// What changes while it is read is read behind that.
void FileSource::look() {
  if (!is_running_) return;
  is_stale_ = is_reading_;
  if (std::exchange(is_reading_, true)) return;
  reader_->post([desk = desk_, path = path_, type = type_](const std::stop_token& stop) {
    read_file(desk, path, type, stop);
  });
}

// On the reader's thread.
void FileSource::read_file(const std::shared_ptr<Desk>& desk, const std::string& path,
                           ResourceType type, const std::stop_token& stop) {
  Result<Response> found = read_response(path, type, stop);
  auto out = std::make_shared<Read>();
  found ? static_cast<void>(out->response = std::move(*found))
        : static_cast<void>(out->problem = found.error());
  const std::lock_guard lock(desk->mutex);
  if (FileSource* const source = desk->source; source != nullptr)
    source->inbox_.post([source, desk, out] { source->on_reader(*desk, std::move(*out)); });
}

void FileSource::on_reader(const Desk& desk, Read&& read) {
  if (&desk != desk_.get()) return;  // stopped since
  is_reading_ = false;
  // What changes faster than it is read is taken all the same.
  on_read(std::move(read));
  if (is_stale_ && is_running_) look();
}

void FileSource::on_read(Read&& read) {
  if (!read.problem.empty()) {
    ++counts_.attempts;
    ++counts_.failure;
    if (read.problem != told_problem_) {
      log::warning(log::kConfig, "cannot read resources; what was read last stays in force",
                   {{"type", short_name(type_)}, {"reason", read.problem}});
    }
    told_problem_ = std::move(read.problem);
    is_readable_ = false;
    return;
  }
  told_problem_.clear();
  is_readable_ = true;
  last_ = std::make_unique<Response>(std::move(read.response));
  is_due_ = true;
  take();
}

// ---- who asked ----

// Of what is wanted now; again for each change of the names, as a stream would say it again.
void FileSource::take() {
  if (is_open_ || !is_due_ || (!is_wildcard_ && names_.empty())) return;
  is_due_ = false;
  is_open_ = true;
  if (is_wildcard_) awaited_.clear();
  Response told = *last_;
  told_version_ = told.version;
  if (!is_wildcard_) {
    std::erase_if(told.resources,
                  [this](const Resource& resource) { return !names_.contains(resource.name); });
  }
  observer_.on_resources(std::move(told));
}

void FileSource::subscribe_all(ResourceType, Duration timeout) {
  if (std::exchange(is_wildcard_, true)) return;
  ++counts_.attempts;
  await(Awaited::kAll, timeout);
  is_due_ = last_ != nullptr;
  // Not inside of this call.
  if (is_due_) inbox_.post([this] { take(); });
}

void FileSource::subscribe(ResourceType, const AskedNames& names) {
  std::set<std::string> wanted;
  bool has_new = false;
  for (const auto& [name, timeout] : names) {
    wanted.insert(name);
    if (names_.contains(name)) continue;
    has_new = true;
    await(name, timeout);
  }
  awaited_.keep_only(wanted);
  names_ = std::move(wanted);
  if (!has_new || last_ == nullptr) return;
  is_due_ = true;
  inbox_.post([this] { take(); });
}

void FileSource::accept(ResourceType) {
  ++counts_.success;
  counts_.success_time = wall_now();
  version_ = told_version_;
  finish();
}

void FileSource::reject(ResourceType, std::string_view) {
  ++counts_.rejected;
  finish();
}

void FileSource::finish() {
  DASSERT(is_open_);
  ++counts_.attempts;
  is_open_ = false;
  if (is_due_) inbox_.post([this] { take(); });
}

// ---- what does not come ----

void FileSource::answered(ResourceType, std::string_view name) { awaited_.remove(name); }

void FileSource::await(std::string_view name, Duration timeout) {
  const Instant deadline = awaited_.add(name, timeout, loop_.now());
  if (deadline == Instant{}) return;
  if (!fetch_timer_.is_armed() || deadline < fetch_timer_.deadline())
    loop_.arm_at(fetch_timer_, deadline);
}

void FileSource::check_fetch_timeouts() {
  std::set<std::string> late = awaited_.take_late(loop_.now());
  if (const Instant next = awaited_.next_deadline(); next != Instant{})
    loop_.arm_at(fetch_timer_, next);
  if (late.empty()) return;
  ++counts_.attempts;
  log::warning(log::kConfig, "a file has not said what is wanted of it; going on without",
               {{"path", path_}, {"type", short_name(type_)}, {"first", *late.begin()}});
  if (is_wildcard_) late.clear();
  observer_.on_fetch_timeout(type_, late);
}

}  // namespace pillion::xds
