#include "proxy/control/last_good_state.h"

#include <utility>

#include "proxy/admin/config_json.h"
#include "proxy/base/file.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "proxy/control/last_good_file.h"
#include "xds/reflect.h"

namespace pillion {
namespace {

using xds::ResourceType;

constexpr size_t kMaxBytes = size_t{1} << 30;

bool says_all(const xds::Response& response) {
  return !response.is_delta && xds::is_whole(response.type);
}

bool holds_secret(ResourceType type, const std::string& bytes) {
  // Endpoints have none, and are by far the most.
  if (type == ResourceType::kEndpoints) return false;
  config::Errors ignored(config::UnknownFields::kWarn);
  const config::DocumentPtr document =
      xds::reflect(xds::message_of(type), bytes, "last good", ignored);
  // What cannot be read cannot be judged.
  return document == nullptr || !ignored.ok() || admin::holds_secret(document->root_value());
}

}  // namespace

// ---- changes ----

// As it is, or as the changes before have left it.
void LastGoodChanges::keep_one(OfType& now, OfType& before, const std::string& name) {
  if (auto known = before.named.extract(name)) {
    now.named.insert(std::move(known));
  } else if (!before.is_all) {
    now.named.try_emplace(name, Change{What::kKeep});
  }
}

void LastGoodChanges::put(const xds::Response& response, const std::set<std::string>& refused) {
  OfType& now = at(response.type);
  OfType before;
  if (says_all(response)) {
    before = std::exchange(now, {});
    now.is_all = true;
    now.confirmed = std::move(before.confirmed);
  }
  const auto keep = [&](const std::string& name) {
    if (now.is_all && !says_all(response)) return;  // it is named, or is not there
    keep_one(now, before, name);
  };
  for (const std::string& name : response.unchanged) keep(name);
  for (const xds::Resource& resource : response.resources) {
    if (refused.contains(resource.name)) {
      keep(resource.name);
    } else if (response.type == ResourceType::kVirtualHosts && resource.bytes.empty()) {
      remove(response.type, resource.name);  // there is no such host
    } else {
      now.named.insert_or_assign(resource.name,
                                 Change{What::kSet, resource.version, resource.bytes});
    }
  }
  for (const std::string& name : response.removed) remove(response.type, name);
}

void LastGoodChanges::keep(const xds::Response& response) {
  OfType& now = at(response.type);
  if (now.is_all) return;
  for (const xds::Resource& resource : response.resources)
    now.named.try_emplace(resource.name, Change{What::kKeep});
}

void LastGoodChanges::remove(ResourceType type, const std::string& name) {
  at(type).named.insert_or_assign(name, Change{What::kRemove});
}

void LastGoodChanges::remove_all(ResourceType type) {
  OfType& now = at(type);
  now.named.clear();
  now.is_all = true;
}

void LastGoodChanges::confirm(ResourceType type, std::set<std::string> wanted) {
  at(type).confirmed = std::move(wanted);
}

// ---- the state ----

Status<> LastGoodState::read(const std::string& path, const std::string& owner, bool& is_there) {
  const Result<std::string> text = read_regular_file(path, kMaxBytes);
  is_there = text.has_value();
  if (!text) return Error{text.error()};
  const auto items = decode_last_good(*text, owner);
  if (!items) return Error{items.error()};
  for (const LastGoodItem& item : *items)
    kept_[static_cast<size_t>(item.type)].insert_or_assign(
        std::string(item.name),
        Kept{std::string(item.version), std::string(item.bytes), Holds::kNothing, true});
  return Ok{};
}

void LastGoodState::apply(LastGoodChanges&& changes) {
  for (const ResourceType type : xds::kAllTypes)
    apply(type, changes.types_[static_cast<size_t>(type)]);
}

void LastGoodState::apply(ResourceType type, LastGoodChanges::OfType& changes) {
  using What = LastGoodChanges::What;
  ByName& kept = kept_[static_cast<size_t>(type)];
  if (changes.is_all)
    std::erase_if(kept, [&](const auto& item) { return !changes.named.contains(item.first); });
  for (auto& [name, change] : changes.named) {
    const auto known = kept.find(name);
    if (change.what == What::kRemove) {
      if (known != kept.end()) kept.erase(known);
    } else if (change.what == What::kKeep) {
      if (known != kept.end()) known->second.is_of_file = false;
    } else if (known != kept.end() && known->second.bytes == change.bytes) {
      known->second.version = std::move(change.version);
      known->second.is_of_file = false;
    } else {
      kept.insert_or_assign(
          name, Kept{std::move(change.version), std::move(change.bytes), Holds::kNotKnown, false});
    }
  }
  if (!changes.confirmed) return;
  std::erase_if(kept, [&](const auto& item) {
    return item.second.is_of_file && !changes.confirmed->contains(item.first);
  });
}

Status<> LastGoodState::write(const std::string& path, const std::string& owner,
                              std::vector<std::string>& left_out) {
  std::vector<LastGoodItem> items;
  for (const ResourceType type : xds::kAllTypes) {
    for (auto& [name, kept] : kept_[static_cast<size_t>(type)]) {
      if (kept.holds == Holds::kNotKnown)
        kept.holds = holds_secret(type, kept.bytes) ? Holds::kSecret : Holds::kNothing;
      if (kept.holds == Holds::kNothing) {
        items.push_back({type, name, kept.version, kept.bytes});
        continue;
      }
      std::string place = str(xds::short_name(type), '/', config::printable(name));
      if (told_.insert(place).second) left_out.push_back(std::move(place));
    }
  }
  return replace_file(path, encode_last_good(owner, items));
}

std::vector<xds::Response> LastGoodState::responses() const {
  std::vector<xds::Response> out;
  for (const ResourceType type : xds::kAllTypes) {
    const ByName& kept = kept_[static_cast<size_t>(type)];
    if (kept.empty()) continue;
    xds::Response& response = out.emplace_back();
    response.type = type;
    response.version = "last good";
    for (const auto& [name, one] : kept) {
      xds::Resource& resource = response.resources.emplace_back();
      resource.name = name;
      resource.version = one.version;
      resource.bytes = one.bytes;
    }
  }
  return out;
}

}  // namespace pillion
