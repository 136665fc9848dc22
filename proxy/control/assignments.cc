#include "proxy/control/assignments.h"

#include <functional>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/config/node.h"
#include "proxy/upstream/parse.h"

namespace pillion {
namespace {

// How long assignments are taken in one go, on the loop that does everything else too.
constexpr Duration kSlice = std::chrono::milliseconds(2);

uint64_t hash_of(std::string_view text) { return std::hash<std::string_view>{}(text); }

}  // namespace

Assignments::Assignments(const Context& context, AssignmentsHost& host)
    : context_(context),
      host_(host),
      server_stats_(context.registry.block<stats::ServerStats>(stats::kControl)) {}

void Assignments::change(const Names& touched, WantedNames now, const ResourceUsers& users) {
  for (const std::string& name : touched) {
    if (now.contains(name)) continue;
    wanted_.erase(name);
    known_.erase(name);
    has_dropped_ |= settled_.erase(name);
  }
  for (auto& [name, wanted] : now) wanted_.insert_or_assign(name, std::move(wanted));
  stats_.change(touched, users, [this](std::string_view, std::string_view user) {
    return context_.registry.block<stats::ClusterInfoStats>(stats::kControl, user);
  });
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
  const Instant end = MonotonicClock::now() + kSlice;
  while (!waiting_.empty()) {
    const xds::Response& response = waiting_.front();
    if (next_ == 0) begin(response);
    while (next_ < response.resources.size()) {
      if (MonotonicClock::now() >= end) return context_.loop.post_next(*this);
      wrong_ += take_assignment(response.resources[next_++]);
    }
    finish();
  }
  is_busy_ = false;
}

void Assignments::begin(const xds::Response& response) {
  note_empty(response);
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
  for (const std::string& name : response.removed) stats_.on_empty(name);
  if (response.is_delta || !response.resources.empty() || !response.unchanged.empty()) return;
  for (const auto& [name, timeout] : host_.asked_of(response.source)) stats_.on_empty(name);
}

void Assignments::finish() {
  const uint32_t source = waiting_.front().source;
  waiting_.pop_front();
  next_ = 0;
  // One build for all of them.
  const std::string wrong = std::exchange(wrong_, {});
  const std::set<std::string> refused = std::exchange(refused_, {});
  host_.on_assignments_taken(source, wrong, refused, std::exchange(has_settled_, false));
}

std::string Assignments::take_assignment(const xds::Resource& resource) {
  if (!wanted_.contains(resource.name)) return {};
  const Instant begin = MonotonicClock::now();
  const uint64_t hash = hash_of(resource.bytes);
  std::string wrong = read_assignment(resource, hash);
  if (wrong.empty()) {
    stats_.on_success(resource.name, waiting_.front().version, hash, MonotonicClock::now() - begin);
  } else {
    stats_.on_rejected(resource.name);
    refused_.insert(resource.name);
    if (!host_.may_go_without()) return wrong;
  }
  host_.on_assignment_answered(resource.name);
  has_settled_ |= settled_.insert(resource.name);
  return wrong;
}

std::string Assignments::read_assignment(const xds::Resource& resource, uint64_t hash) {
  const std::string& version = waiting_.front().version;
  const auto known = known_.find(resource.name);
  if (known != known_.end() && known->second.bytes_hash == hash) {
    known->second.version = version;
    return {};
  }
  config::Errors errors(context_.unknown_fields);
  const xds::ResourceDocument read =
      xds::document_of(xds::ResourceType::kEndpoints, resource, errors);
  upstream::HostSet hosts;
  if (errors.ok()) hosts = upstream::parse_assignment(read.node(errors));
  if (const std::string warnings = errors.to_string(config::Severity::kWarning); !warnings.empty())
    log::warning(log::kConfig, "endpoints that are odd", {{"reason", warnings}});
  if (!errors.ok()) return errors.to_string();
  for (const auto& [name, field] : errors.unknown_fields())
    server_stats_->dynamic_unknown_fields.add(field.count);
  if (!errors.unknown_fields().empty()) host_.on_unknown_fields(errors.unknown_fields());
  known_[resource.name] = {hash, version, wall_now(), read};
  host_.on_endpoints(resource.name, hosts);
  return {};
}

void Assignments::append_to(std::vector<admin::ConfigResource>& out) const {
  for (const auto& [name, assignment] : known_) {
    out.push_back({admin::ConfigResource::Kind::kEndpoints,
                   true,
                   name,
                   assignment.version,
                   assignment.updated,
                   assignment.read.document,
                   assignment.read.value,
                   {}});
  }
}

}  // namespace pillion
