#include "proxy/control/assignments.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/config/node.h"
#include "proxy/upstream/parse.h"
#include "proxy/upstream/read_assignment.h"

namespace pillion {
namespace {

// How long assignments are taken in one go, on the loop that does everything else too.
constexpr Duration kSlice = std::chrono::milliseconds(2);

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
      server_stats_(context.registry.block<stats::ServerStats>(stats::kControl)) {}

void Assignments::change(const Names& touched, WantedNames now, const ResourceUsers& users) {
  for (const std::string& name : touched) {
    if (now.contains(name)) continue;
    wanted_.erase(name);
    known_.erase(name);
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
  const Instant end = MonotonicClock::now() + kSlice;
  while (!waiting_.empty()) {
    xds::Response& response = waiting_.front();
    if (!std::exchange(has_begun_, true)) begin(response);
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
  version_ = std::make_shared<const std::string>(response.version);
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
  has_begun_ = false;
  // One build for all of them.
  const std::string wrong = std::exchange(wrong_, {});
  const std::set<std::string> refused = std::exchange(refused_, {});
  host_.on_assignments_taken(source, wrong, refused, std::exchange(has_settled_, false));
}

std::string Assignments::take_assignment(xds::Resource& resource) {
  if (!wanted_.contains(resource.name)) return {};
  const Instant begin = MonotonicClock::now();
  const uint64_t hash = hash_of(resource.bytes);
  std::string wrong = read(resource);
  if (wrong.empty()) {
    stats_.on_success(resource.name, *version_, hash, MonotonicClock::now() - begin);
  } else {
    stats_.on_rejected(resource.name);
    refused_.insert(resource.name);
    if (!host_.may_go_without()) return wrong;
  }
  host_.on_assignment_answered(resource.name);
  has_settled_ |= settled_.insert(resource.name);
  return wrong;
}

std::string Assignments::read(xds::Resource& resource) {
  const auto known = known_.find(resource.name);
  if (known != known_.end() && *known->second.bytes == resource.bytes) {
    known->second.version = version_;
    return {};
  }
  upstream::PlainAssignment read;
  Assignment said{version_, wall_now(), nullptr, {}};
  const bool is_plain =
      resource.document == nullptr && upstream::read_assignment(resource.bytes, read);
  if (!is_plain || !count_known(read.left_out)) {
    if (std::string wrong = read_document(resource, read.endpoints, said.file); !wrong.empty())
      return wrong;
  }
  said.bytes = std::make_shared<const std::string>(std::move(resource.bytes));
  known_.insert_or_assign(resource.name, std::move(said));
  host_.on_endpoints(resource.name, read.endpoints);
  return {};
}

// What is left out is told by the other way, the first time; then it need only be counted.
bool Assignments::count_known(const std::vector<std::string>& left_out) {
  if (left_out.empty()) return true;
  if (context_.unknown_fields != config::UnknownFields::kCount) return false;
  config::UnknownFieldMap fields;
  for (const std::string& name : left_out) {
    const auto it = left_out_.find(name);
    if (it == left_out_.end()) return false;
    fields.emplace(name, config::UnknownField{1, it->second});
  }
  count(fields);
  return true;
}

void Assignments::count(const config::UnknownFieldMap& fields) {
  if (fields.empty()) return;
  for (const auto& [name, field] : fields) server_stats_->dynamic_unknown_fields.add(field.count);
  host_.on_unknown_fields(fields);
}

// The way of all other resources, for what is not plain.
std::string Assignments::read_document(const xds::Resource& resource, upstream::Endpoints& out,
                                       xds::ResourceDocument& file) {
  config::Errors errors(context_.unknown_fields);
  const xds::ResourceDocument read =
      xds::document_of(xds::ResourceType::kEndpoints, resource, errors);
  if (errors.ok()) out = upstream::parse_assignment(read.node(errors));
  if (const std::string warnings = errors.to_string(config::Severity::kWarning); !warnings.empty())
    log::warning(log::kConfig, "endpoints that are odd", {{"reason", warnings}});
  if (!errors.ok()) return errors.to_string();
  count(errors.unknown_fields());
  for (const auto& [name, field] : errors.unknown_fields())
    if (left_out_.size() < config::Errors::kMaxProblems) left_out_.emplace(name, field.example);
  if (resource.document != nullptr) file = read;
  return {};
}

void Assignments::append_to(std::vector<admin::ConfigResource>& out) const {
  const size_t first = out.size();
  for (const auto& [name, said] : known_) {
    admin::ConfigResource& one = out.emplace_back();
    one.kind = admin::ConfigResource::Kind::kEndpoints;
    one.is_dynamic = true;
    one.name = name;
    one.version = *said.version;
    one.last_updated = said.updated;
    one.document = said.file.document;
    one.value = said.file.value;
    if (one.document == nullptr)
      one.make_document = [name, bytes = said.bytes] { return document_of(name, *bytes); };
  }
  std::ranges::sort(out.begin() + static_cast<std::ptrdiff_t>(first), out.end(), {},
                    &admin::ConfigResource::name);
}

}  // namespace pillion
