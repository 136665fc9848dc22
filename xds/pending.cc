#include "xds/pending.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/config/suggest.h"

namespace pillion::xds {
namespace {

// What lies around a name or a text in memory, about.
constexpr size_t kAround = 96;
// Of a refusal; the message itself is cut there too.
constexpr size_t kMaxReason = size_t{16} << 10;

size_t size_of(std::string_view text) { return text.size() + kAround; }
size_t size_of(const Resource& resource) {
  size_t size = size_of(resource.name) + size_of(resource.bytes) + sizeof(Resource);
  for (const std::string& alias : resource.aliases) size += size_of(alias);
  return size;
}
size_t size_of(const Part& part) {
  size_t size = size_of(part.nonce) + size_of(part.wrong);
  for (const std::string& name : part.names) size += size_of(name);
  return size;
}
size_t size_of(const Response& response) {
  size_t size = size_of(response.wrong);
  for (const Resource& resource : response.resources) size += size_of(resource);
  for (const std::string& name : response.removed) size += size_of(name);
  for (const ResourceError& error : response.errors)
    size += size_of(error.name) + error.reason.size();
  return size;
}

// What is answered for: its resources, and what it ends.
std::vector<std::string> names_of(const Response& response) {
  std::vector<std::string> names;
  for (const Resource& resource : response.resources) names.push_back(resource.name);
  names.insert(names.end(), response.removed.begin(), response.removed.end());
  return names;
}

// A virtual host without a body is one that there is not.
bool is_heartbeat(ResourceType type, const Resource& resource) {
  return type != ResourceType::kVirtualHosts && !resource.has_body;
}
bool has_only_heartbeats(const Response& response) {
  return !response.resources.empty() && response.removed.empty() && response.errors.empty() &&
         std::ranges::all_of(response.resources, [&](const Resource& resource) {
           return is_heartbeat(response.type, resource);
         });
}

}  // namespace

Pending::Pending(Response&& first) : response_(std::move(first)) {
  parts_.push_back({response_.nonce, response_.wrong, {}});
  bytes_ = size_of(response_) + size_of(parts_.front());
}

uint64_t Pending::add(Response&& next) {
  const bool is_delta = response_.is_delta;
  if (parts_.size() == 1 && is_delta) begin_merging();
  if (is_delta) note_part(next);
  const bool says_all = !is_delta && is_whole(next.type) && !has_only_heartbeats(next);
  if (!next.wrong.empty() || says_all) {
    replace(std::move(next));
  } else {
    merge(std::move(next));
  }
  if (is_delta) return 0;
  bytes_ -= size_of(parts_.front());
  parts_.front() = {response_.nonce, response_.wrong, {}};
  bytes_ += size_of(parts_.front());
  return 1;
}

// Heartbeats of what waits speak of that.
void Pending::replace(Response&& next) {
  const auto renews = [&next](const Resource& resource) {
    return is_heartbeat(next.type, resource);
  };
  if (next.version == response_.version && std::ranges::any_of(next.resources, renews)) {
    begin_merging();
    for (Resource& resource : next.resources) {
      const auto known = resources_.find(resource.name);
      if (!renews(resource) || known == resources_.end() || !known->second.has_body) continue;
      const Duration ttl = resource.ttl;
      resource = std::move(known->second);
      resource.ttl = ttl;
    }
  }
  bytes_ = 0;
  for (const Part& part : parts_) bytes_ += size_of(part);
  resources_.clear();
  removed_.clear();
  errors_.clear();
  is_merged_ = false;
  response_ = std::move(next);
  bytes_ += size_of(response_);
}

void Pending::begin_merging() {
  if (std::exchange(is_merged_, true)) return;
  // The names of the first part, now that there is another.
  if (response_.is_delta && parts_.size() == 1) parts_.front().names = names_of(response_);
  bytes_ = size_of(response_.wrong);
  for (const Part& part : parts_) bytes_ += size_of(part);
  for (Resource& resource : std::exchange(response_.resources, {})) put(std::move(resource));
  for (std::string& name : std::exchange(response_.removed, {})) put_removed(std::move(name));
  for (ResourceError& error : std::exchange(response_.errors, {})) put_error(std::move(error));
}

void Pending::merge(Response&& next) {
  begin_merging();
  const bool is_same_version = next.version == response_.version;
  for (Resource& resource : next.resources) {
    const auto known = resources_.find(resource.name);
    if (!is_heartbeat(next.type, resource) || known == resources_.end() ||
        !known->second.has_body) {
      put(std::move(resource));
      continue;
    }
    // Of what waits itself; one of another version says nothing of it.
    const bool is_its_own =
        next.is_delta ? resource.version == known->second.version : is_same_version;
    if (is_its_own) known->second.ttl = resource.ttl;
  }
  for (std::string& name : next.removed) put_removed(std::move(name));
  for (ResourceError& error : next.errors) put_error(std::move(error));
  response_.version = std::move(next.version);
  response_.nonce = std::move(next.nonce);
}

void Pending::drop_resource(std::string_view name) {
  const auto known = resources_.find(name);
  if (known == resources_.end()) return;
  bytes_ -= size_of(known->second);
  resources_.erase(known);
}

void Pending::put(Resource&& resource) {
  drop_resource(resource.name);
  if (const auto gone = removed_.find(resource.name); gone != removed_.end()) {
    bytes_ -= size_of(*gone);
    removed_.erase(gone);
  }
  if (const auto error = errors_.find(resource.name); error != errors_.end()) {
    bytes_ -= size_of(error->first) + error->second.size();
    errors_.erase(error);
  }
  bytes_ += size_of(resource);
  std::string name = resource.name;
  resources_.emplace(std::move(name), std::move(resource));
}

void Pending::put_removed(std::string&& name) {
  drop_resource(name);
  const size_t size = size_of(name);
  if (removed_.insert(std::move(name)).second) bytes_ += size;
}

void Pending::put_error(ResourceError&& error) {
  const auto [known, is_new] = errors_.try_emplace(std::move(error.name));
  bytes_ += is_new ? size_of(known->first) : 0;
  bytes_ += error.reason.size();
  bytes_ -= known->second.size();
  known->second = std::move(error.reason);
}

void Pending::note_part(const Response& response) {
  Part part{response.nonce, response.wrong, names_of(response)};
  bytes_ += size_of(part);
  parts_.push_back(std::move(part));
}

Response Pending::take() {
  for (auto& [name, resource] : resources_) response_.resources.push_back(std::move(resource));
  response_.removed.insert(response_.removed.end(), removed_.begin(), removed_.end());
  for (auto& [name, reason] : errors_) response_.errors.push_back({name, std::move(reason)});
  return std::move(response_);
}

std::vector<Part> Pending::take_parts() { return std::move(parts_); }

// ---- answers ----

namespace {

// The lines of `error` about any of these names, which they begin with ("cds/NAME: ...").
std::string lines_about(ResourceType type, std::string_view error,
                        const std::vector<std::string>& names) {
  std::unordered_set<std::string> places;
  for (const std::string& name : names)
    places.insert(str(short_name(type), '/', config::printable(name)));
  std::string out;
  while (!error.empty() && out.size() < kMaxReason) {
    const std::string_view line = error.substr(0, error.find('\n'));
    error.remove_prefix(std::min(error.size(), line.size() + 1));
    if (places.contains(std::string(line.substr(0, line.find(": "))))) out += str(line, '\n');
  }
  // Names that have a colon themselves, and lines that are too many.
  if (out.empty()) {
    for (const std::string& name : names) {
      if (out.size() >= kMaxReason) break;
      out += str(short_name(type), '/', config::printable(name), ": refused\n");
    }
  }
  return out;
}

std::string error_of(ResourceType type, const Part& part, const std::string& error,
                     const std::set<std::string>& refused) {
  std::vector<std::string> own;
  for (const std::string& name : part.names)
    if (refused.contains(name)) own.push_back(name);
  return own.empty() ? std::string() : lines_about(type, error, own);
}

}  // namespace

std::vector<Reply> replies_to(ResourceType type, std::vector<Part>&& parts,
                              const std::string& error, const std::set<std::string>* refused) {
  std::vector<Reply> replies;
  const bool is_one = parts.size() == 1;
  bool is_told = error.empty();
  for (Part& part : parts) {
    std::string text = is_one ? error : std::move(part.wrong);
    if (text.empty() && !error.empty())
      text = refused == nullptr ? error : error_of(type, part, error, *refused);
    is_told |= !text.empty();
    replies.push_back({std::move(part.nonce), std::move(text)});
  }
  // What is wrong with nothing that has a name.
  if (!is_told && !replies.empty()) replies.back().error = error;
  // What is accepted need not wait for what is refused.
  std::vector<Reply> in_order;
  in_order.reserve(replies.size());
  for (const bool is_refused : {false, true}) {
    for (Reply& reply : replies)
      if (reply.error.empty() != is_refused) in_order.push_back(std::move(reply));
  }
  return in_order;
}

}  // namespace pillion::xds
