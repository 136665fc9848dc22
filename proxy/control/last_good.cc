#include "proxy/control/last_good.h"

#include <algorithm>
#include <utility>

#include "proxy/admin/config_json.h"
#include "proxy/base/file.h"
#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "proxy/control/last_good_file.h"
#include "xds/reflect.h"

namespace pillion {
namespace {

using xds::ResourceType;

// How long a change may be lost; changes come in crowds.
constexpr Duration kWriteDelay = std::chrono::seconds(2);
constexpr size_t kMaxBytes = size_t{1} << 30;

// Endpoints have no secrets, and are by far the most.
bool may_hold_secrets(ResourceType type) { return type != ResourceType::kEndpoints; }

bool holds_secret(ResourceType type, const std::string& bytes) {
  config::Errors ignored(config::UnknownFields::kWarn);
  const config::DocumentPtr document =
      xds::reflect(xds::message_of(type), bytes, "last good", ignored);
  // What cannot be read cannot be judged.
  return document == nullptr || !ignored.ok() || admin::holds_secret(document->root_value());
}

}  // namespace

LastGood::LastGood(io::Loop& loop, std::string path, std::string owner)
    : loop_(loop), path_(std::move(path)), owner_(std::move(owner)) {}

LastGood::~LastGood() {
  if (writer_.joinable()) writer_.join();
  if (!has_changed_) return;
  std::vector<Entry> entries;
  for (const ResourceType type : xds::kAllTypes)
    for (const auto& [name, kept] : at(type)) entries.push_back({type, name, kept});
  (void)write(path_, owner_, std::move(entries));
}

// ---- reading ----

std::vector<xds::Response> LastGood::load() {
  std::vector<xds::Response> out;
  const Result<std::string> text = read_regular_file(path_, kMaxBytes);
  if (!text) {
    log::info(log::kConfig, "there is no last good state yet",
              {{"path", path_}, {"reason", text.error()}});
    return out;
  }
  const auto items = decode_last_good(*text, owner_);
  if (!items) {
    log::warning(log::kConfig, "the last good state cannot be used",
                 {{"path", path_}, {"reason", items.error()}});
    return out;
  }
  for (const LastGoodItem& item : *items) {
    auto it = std::ranges::find(out, item.type, &xds::Response::type);
    if (it == out.end()) {
      it = out.emplace(out.end());
      it->type = item.type;
      it->version = "last good";
    }
    xds::Resource& resource = it->resources.emplace_back();
    resource.name = item.name;
    resource.version = item.version;
    resource.bytes = item.bytes;
  }
  return out;
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
  if (wrong.empty()) return put(*open, kNone);
  if (refused != nullptr) put(*open, *refused);
}

// What was refused keeps its predecessor.
void LastGood::put(const xds::Response& response, const std::set<std::string>& refused) {
  ByName& kept = at(response.type);
  const bool is_complete = !response.is_delta && (response.type == ResourceType::kClusters ||
                                                  response.type == ResourceType::kListeners);
  ByName before;
  if (is_complete) before = std::exchange(kept, {});
  const auto keep = [&](const std::string& name) {
    if (const auto it = before.find(name); it != before.end()) kept.insert(before.extract(it));
  };
  for (const std::string& name : response.unchanged) keep(name);
  for (const xds::Resource& resource : response.resources) {
    keep(resource.name);
    if (refused.contains(resource.name)) continue;
    Kept& place = kept[resource.name];
    place.version = resource.version;
    if (place.bytes != nullptr && *place.bytes == resource.bytes) continue;
    place.bytes = std::make_shared<const std::string>(resource.bytes);
    place.holds = may_hold_secrets(response.type) ? Holds::kNotKnown : Holds::kNothing;
  }
  std::erase_if(kept, [](const auto& item) { return item.second.bytes == nullptr; });
  for (const std::string& name : response.removed) kept.erase(name);
  changed();
}

// ---- writing ----

void LastGood::changed() {
  has_changed_ = true;
  if (!is_writing_ && !timer_.is_armed()) loop_.arm(timer_, kWriteDelay);
}

void LastGood::begin_write() {
  has_changed_ = false;
  is_writing_ = true;
  std::vector<Entry> entries;
  for (const ResourceType type : xds::kAllTypes)
    for (const auto& [name, kept] : at(type)) entries.push_back({type, name, kept});
  if (writer_.joinable()) writer_.join();
  writer_ = std::thread([this, path = path_, owner = owner_, list = std::move(entries)]() mutable {
    auto written = std::make_shared<const Written>(write(path, owner, std::move(list)));
    inbox_.post([this, written] { on_written(*written); });
  });
}

LastGood::Written LastGood::write(const std::string& path, const std::string& owner,
                                  std::vector<Entry> entries) {
  std::vector<LastGoodItem> items;
  for (Entry& entry : entries) {
    Kept& kept = entry.kept;
    if (kept.holds == Holds::kNotKnown)
      kept.holds = holds_secret(entry.type, *kept.bytes) ? Holds::kSecret : Holds::kNothing;
    if (kept.holds == Holds::kNothing)
      items.push_back({entry.type, entry.name, kept.version, *kept.bytes});
  }
  Status<> status = replace_file(path, encode_last_good(owner, items));
  return {std::move(entries), std::move(status)};
}

void LastGood::on_written(const Written& written) {
  is_writing_ = false;
  if (!written.status) {
    log::warning(log::kConfig, "cannot keep the last good state",
                 {{"reason", written.status.error()}});
  }
  for (const Entry& entry : written.entries) {
    const std::string place = str(xds::short_name(entry.type), '/', config::printable(entry.name));
    if (entry.kept.holds == Holds::kSecret && told_.insert(place).second) {
      log::warning(log::kConfig, "has a secret in it, and will be missing in the last good state",
                   {{"resource", place}});
    }
    const auto it = at(entry.type).find(entry.name);
    if (it != at(entry.type).end() && it->second.bytes == entry.kept.bytes)
      it->second.holds = entry.kept.holds;
  }
  if (has_changed_) changed();
}

}  // namespace pillion
