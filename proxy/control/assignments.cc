#include "proxy/control/assignments.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "proxy/base/background_thread.h"
#include "proxy/base/log.h"
#include "proxy/base/slice.h"

namespace pillion {
namespace {

// What is read in one go: 250 endpoints by the tree, 1,500 that are plain, take some 2 ms.
constexpr size_t kMostHere = size_t{16} << 10;
constexpr size_t kMostPlainHere = size_t{256} << 10;
// Of what was wrong with one, which thousands may have.
constexpr size_t kShownBytes = 4096;

uint64_t hash_of(std::string_view text) { return std::hash<std::string_view>{}(text); }

std::shared_ptr<const config::Document> document_of(const std::string& name,
                                                    const std::string& bytes) {
  config::Errors ignored;  // it was read before
  return xds::document_of(xds::ResourceType::kEndpoints, {name, bytes}, ignored).document;
}

}  // namespace

Assignments::Assignments(const Context& context, AssignmentsHost& host)
    : context_(context),
      host_(host),
      reading_{context.unknown_fields, {}},
      server_stats_(context.registry.block<stats::ServerStats>(stats::kControl)) {}

Assignments::~Assignments() {
  reader_.stop();
  reader_.wait();
}

void Assignments::change(const Names& touched, WantedNames now, const ResourceUsers& users) {
  for (const std::string& name : touched) {
    if (now.contains(name)) continue;
    wanted_.erase(name);
    known_.erase(SharedText(name));
    failures_.erase(name);
    if (settled_.erase(name)) dropped_.push_back(name);
  }
  for (auto& [name, wanted] : now) wanted_.insert_or_assign(name, std::move(wanted));
  stats_.change(touched, users, [this](std::string_view, std::string_view user) {
    return context_.registry.block<stats::ClusterInfoStats>(stats::kControl, user);
  });
}

std::vector<std::string> Assignments::take_dropped() {
  std::vector<std::string> names = std::exchange(dropped_, {});
  // Some may have come again.
  std::erase_if(names, [this](const std::string& name) { return settled_.contains(name); });
  return names;
}

void Assignments::on_fetch_timeout(const std::set<std::string>& names) {
  for (const std::string& name : names) {
    settled_.insert(name);
    stats_.on_fetch_timeout(name);
  }
}

void Assignments::take(xds::Response&& response) {
  waiting_.push_back(std::move(response));
  // The host may bring the next one from inside on_assignments_taken().
  if (!std::exchange(is_busy_, true)) run_ready();
}

// A portion of what waits; the rest in the next turn.
void Assignments::run_ready() {
  const Slice slice;
  while (!waiting_.empty()) {
    xds::Response& response = waiting_.front();
    if (!std::exchange(has_begun_, true)) begin(response);
    while (next_ < response.resources.size()) {
      if (slice.is_over()) return context_.loop.post_next(*this);
      if (!take_assignment(response.resources[next_++])) return;
    }
    finish();
  }
  is_busy_ = false;
}

void Assignments::begin(const xds::Response& response) {
  note_empty(response);
  version_ = response.version;
  wrong_ = response.wrong;
  has_settled_ = !wrong_.empty() && host_.may_go_without();
  if (wrong_.empty()) return;
  for (const auto& [name, timeout] : host_.asked_of(response.source)) {
    stats_.on_rejected(name);
    if (!host_.may_go_without()) continue;
    settled_.insert(name);
    host_.on_assignment_answered(name);
  }
}

// Without the name that it is about.
void Assignments::note_empty(const xds::Response& response) {
  if (!response.wrong.empty()) return;
  for (const std::string& name : response.removed) {
    stats_.on_empty(name);
    failures_.erase(name);
  }
  if (response.is_delta || !response.resources.empty() || !response.unchanged.empty()) return;
  for (const auto& [name, timeout] : host_.asked_of(response.source)) stats_.on_empty(name);
}

void Assignments::finish() {
  const uint32_t source = waiting_.front().source;
  waiting_.pop_front();
  next_ = 0;
  has_begun_ = false;
  // One build for all of them.
  const std::string wrong = std::exchange(wrong_, {});
  const std::set<std::string> refused = std::exchange(refused_, {});
  host_.on_assignments_taken(source, wrong, refused, std::exchange(has_settled_, false));
}

bool Assignments::take_assignment(const xds::Resource& resource) {
  if (!wanted_.contains(resource.name)) return true;
  resource_began_ = MonotonicClock::now();
  std::optional<AssignmentRead> read = read_here(resource);
  if (!read) {
    read_on_thread(resource);
    return false;
  }
  use(resource, std::move(*read));
  return true;
}

// None: it would take too long.
std::optional<AssignmentRead> Assignments::read_here(const xds::Resource& resource) {
  const size_t size = resource.bytes.size();
  if (size > kMostPlainHere) return std::nullopt;
  PackedBytes packed(resource.bytes, resource.name);
  if (const auto known = known_.find(resource.name);
      known != known_.end() && known->second.bytes == packed) {
    known->second.version = version_;
    return AssignmentRead{};
  }
  const upstream::HostSetPtr previous = host_.endpoints_of(resource.name);
  std::optional<AssignmentRead> read = reading_.plain(resource, previous);
  if (!read && size <= kMostHere) read = reading_.by_document(resource, previous);
  if (read) read->bytes = std::move(packed);
  return read;
}

// The resource stays where it is until then, for the response is the first of those that wait.
void Assignments::read_on_thread(const xds::Resource& resource) {
  const auto read = std::make_shared<AssignmentRead>();
  const bool serves = !host_.may_go_without();
  reader_.post([this, read, serves, reading = reading_, &resource,
                previous = host_.endpoints_of(resource.name)](const std::stop_token&) {
    if (serves) stand_back();
    std::optional<AssignmentRead> plain = reading.plain(resource, previous);
    *read = plain ? std::move(*plain) : reading.by_document(resource, previous);
    read->bytes = PackedBytes(resource.bytes, resource.name);
    inbox_.post([this, read] {
      const xds::Resource& done = waiting_.front().resources[next_ - 1];
      // Meanwhile it may have become unwanted.
      if (wanted_.contains(done.name)) use(done, std::move(*read));
      run_ready();
    });
  });
}

void Assignments::use(const xds::Resource& resource, AssignmentRead&& read) {
  if (!read.warnings.empty())
    log::warning(log::kConfig, "endpoints that are odd", {{"reason", read.warnings}});
  wrong_ += read.wrong;
  if (read.wrong.empty()) {
    stats_.on_success(resource.name, version_, hash_of(resource.bytes),
                      MonotonicClock::now() - resource_began_);
    failures_.erase(resource.name);
    if (read.hosts != nullptr) put_in_force(resource, std::move(read));
  } else {
    stats_.on_rejected(resource.name);
    if (read.wrong.size() > kShownBytes) read.wrong.replace(kShownBytes, read.wrong.npos, " ...");
    failures_.insert_or_assign(
        resource.name, admin::ConfigFailure{wall_now(), version_.str(), std::move(read.wrong)});
    refused_.insert(resource.name);
    if (!host_.may_go_without()) return;
  }
  host_.on_assignment_answered(resource.name);
  has_settled_ |= settled_.insert(resource.name);
}

void Assignments::put_in_force(const xds::Resource& resource, AssignmentRead&& read) {
  count(read.unknown_fields);
  for (const auto& [name, field] : read.unknown_fields)
    if (reading_.told.size() < config::Errors::kMaxProblems)
      reading_.told.emplace(name, field.example);
  Assignment said{version_, wall_now(), std::move(read.bytes), {}};
  if (read.file.document != nullptr) said.file = std::move(read.file);
  known_.insert_or_assign(resource.name, std::move(said));
  host_.on_endpoints(resource.name, read.hosts);
}

void Assignments::count(const config::UnknownFieldMap& fields) {
  if (fields.empty()) return;
  for (const auto& [name, field] : fields) server_stats_->dynamic_unknown_fields.add(field.count);
  host_.on_unknown_fields(fields);
}

void Assignments::describe(std::string_view name, const Assignment& said,
                           admin::ConfigResource& out) const {
  out.version = said.version.str();
  out.last_updated = said.updated;
  if (said.file) {
    out.document = said.file->document;
    out.value = said.file->value;
  } else {
    out.make_document = [called = std::string(name), bytes = said.bytes] {
      return document_of(called, bytes.unpack(called));
    };
  }
}

void Assignments::append_to(std::vector<admin::ConfigResource>& out) const {
  const auto first = static_cast<std::ptrdiff_t>(out.size());
  const auto add = [&out](std::string name) -> admin::ConfigResource& {
    admin::ConfigResource& one = out.emplace_back();
    one.kind = admin::ConfigResource::Kind::kEndpoints;
    one.is_dynamic = true;
    one.name = std::move(name);
    one.client_status = admin::ClientStatus::kAcked;
    return one;
  };
  for (const auto& [name, said] : known_) {
    admin::ConfigResource& one = add(name.str());
    describe(one.name, said, one);
  }
  std::ranges::sort(out.begin() + first, out.end(), {}, &admin::ConfigResource::name);
  // Those that have nothing in force come behind.
  const auto end = static_cast<std::ptrdiff_t>(out.size());
  for (const auto& [name, failure] : failures_) {
    const auto known = std::ranges::lower_bound(out.begin() + first, out.begin() + end, name, {},
                                                &admin::ConfigResource::name);
    const bool is_in_force = known != out.begin() + end && known->name == name;
    admin::ConfigResource& one = is_in_force ? *known : add(name);
    one.is_warming = !is_in_force;
    one.client_status = admin::ClientStatus::kNacked;
    one.error_state = failure;
  }
}

}  // namespace pillion
