#include "proxy/admin/config_dump.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/slice.h"
#include "proxy/base/str.h"

namespace pillion::admin {
namespace {

using Kind = ConfigResource::Kind;

// Values of one step.
constexpr size_t kValuesPerStep = 100;

void write_failure(JsonWriter& json, const ConfigFailure& failure) {
  json.begin_object().field("last_update_attempt", utc_text(failure.when));
  json.field("details", failure.details);
  if (!failure.version.empty()) json.field("version_info", failure.version);
  json.end_object();
}

// A JSON text that is made in steps.
class Steps : public stats::TextSource {
 public:
  bool next(std::string& out) final {
    const Slice slice;
    bool has_more = true;
    while (has_more && text_.size() < kPieceBytes && !slice.is_over()) has_more = step();
    out += text_;
    text_.clear();
    return has_more;
  }

 protected:
  // A little of it; false: that was the last.
  virtual bool step() = 0;

  // The array is not there without an item.
  void open_array(std::string_view name) {
    if (!std::exchange(has_array_, true)) json_.key(name).begin_array();
  }
  void close_array() {
    if (std::exchange(has_array_, false)) json_.end_array();
  }

  std::string text_;
  JsonWriter json_{text_};

 private:
  bool has_array_ = false;
};

// Writes one entry after the other, each as an object in the array that is open then.
class EntryStream {
 public:
  EntryStream(JsonWriter& json, ConfigEntries entries, const FieldMask::Node* mask)
      : entries_(std::move(entries)), mask_(mask), writer_(json) {}

  // `begin` is called with each entry before its fields (false: it is left out), `end` behind them.
  // False: that was the last.
  template <typename Begin, typename End>
  bool step(const DumpSection& section, Begin&& begin, End&& end) {
    if (is_open_) {
      if (writer_.step(kValuesPerStep)) return true;
      is_open_ = false;
      end();
      return true;
    }
    std::span<const ConfigResource> entry;
    const ConfigEntries::Found found = entries_.next(entry);
    if (found != ConfigEntries::Found::kEntry) return found == ConfigEntries::Found::kLater;
    if (!begin(entry.front())) return true;
    writer_.begin(section, entry, mask_);
    is_open_ = true;
    return true;
  }
  [[nodiscard]] bool is_empty() const noexcept { return entries_.is_empty(); }

 private:
  ConfigEntries entries_;
  const FieldMask::Node* const mask_;
  EntryWriter writer_;
  bool is_open_ = false;
};

class ConfigDump final : public Steps {
 public:
  ConfigDump(const ServerView& view, DumpOptions options, const HasField& has_field)
      : view_(view), options_(std::move(options)) {
    for (const DumpSection& section : dump_sections()) {
      const bool is_masked = options_.mask && !fits(*options_.mask, section, has_field);
      if (!is_masked && (options_.with_eds || !section.only_with_eds))
        sections_.push_back(&section);
    }
    json_.begin_object();
    open_array("configs");
  }

 private:
  bool step() override {
    if (at_ == sections_.size()) {
      end();
      return false;
    }
    const DumpSection& section = *sections_[at_];
    if (!stream_) {
      begin_section(section);
      return true;
    }
    const auto begin = [&](const ConfigResource& resource) {
      return begin_entry(section, resource);
    };
    const auto end = [&] {
      if (!section.lists.empty()) json_.end_object();
    };
    if (stream_->step(section, begin, end)) return true;
    if (list_ != nullptr) json_.end_array();
    list_ = nullptr;
    if (!is_left_out_) json_.end_object();
    stream_.reset();
    ++at_;
    return true;
  }

  [[nodiscard]] const FieldMask::Node* mask() const {
    return options_.mask ? &options_.mask->root() : nullptr;
  }

  void begin_section(const DumpSection& section) {
    // A mask of a whole message does not reach into its lists; that of the bootstrap is its own.
    stream_.emplace(json_, ConfigEntries(view_, section, options_.filter),
                    section.lists.empty() ? mask() : nullptr);
    is_left_out_ = section.is_left_out_empty && stream_->is_empty();
    if (is_left_out_) return;
    json_.begin_object().field("@type",
                               str("type.googleapis.com/envoy.admin.v3.", section.message));
    if (!section.has_version || !shows(mask(), "version_info")) return;
    if (const std::string version = view_.config_version(section.kind); !version.empty())
      json_.field("version_info", version);
  }

  // False: the mask hides it.
  bool begin_entry(const DumpSection& section, const ConfigResource& resource) {
    const DumpList* list = list_of(section, resource);
    if (list == nullptr) return true;
    if (!shows(mask(), list->name)) return false;
    if (list != list_) {
      if (list_ != nullptr) json_.end_array();
      json_.key(list->name).begin_array();
      list_ = list;
    }
    json_.begin_object();
    return true;
  }

  // What Envoy's dump has no place for stands beside `configs`, where its readers skip it.
  void end() {
    close_array();
    const auto failure = options_.mask ? std::nullopt : view_.last_failed_reload();
    if (failure) {
      json_.key("last_failed");
      write_failure(json_, *failure);
    }
    const auto fields = options_.mask ? config::UnknownFieldMap() : view_.unknown_fields();
    if (!fields.empty()) {
      json_.key("unknown_fields").begin_object();
      for (const auto& [name, field] : fields) json_.field(name, field.count);
      json_.end_object();
    }
    json_.end_object();
  }

  const ServerView& view_;
  const DumpOptions options_;
  std::vector<const DumpSection*> sections_;
  size_t at_ = 0;
  std::optional<EntryStream> stream_;  // of the section that is open
  const DumpList* list_ = nullptr;     // that is open
  bool is_left_out_ = false;
};

class ListDump final : public Steps {
 public:
  ListDump(const ServerView& view, const DumpSection& section, const DumpList& list,
           DumpOptions options)
      : section_(section),
        list_(list),
        options_(std::move(options)),
        stream_(json_, ConfigEntries(view, section, options_.filter, &list),
                options_.mask ? &options_.mask->root() : nullptr) {
    json_.begin_object();
  }

 private:
  bool step() override {
    const auto begin = [this](const ConfigResource&) {
      open_array("configs");
      json_.begin_object().field(
          "@type", str("type.googleapis.com/envoy.admin.v3.", section_.message, ".", list_.entry));
      return true;
    };
    if (stream_.step(section_, begin, [this] { json_.end_object(); })) return true;
    close_array();
    json_.end_object();
    return false;
  }

  const DumpSection& section_;
  const DumpList& list_;
  const DumpOptions options_;
  EntryStream stream_;
};

// What Envoy's ConfigStatus calls it.
std::string_view config_status(const ConfigResource& resource) {
  switch (resource.client_status) {
    case ClientStatus::kAcked:
      return resource.is_warming ? "STALE" : "SYNCED";
    case ClientStatus::kNacked:
    case ClientStatus::kReceivedError:
      return "ERROR";
    case ClientStatus::kRequested:
    case ClientStatus::kDoesNotExist:
    case ClientStatus::kTimeout:
      return "NOT_SENT";
    case ClientStatus::kUnknown:
      break;
  }
  return "UNKNOWN";
}

class ClientStatusDump final : public Steps {
 public:
  ClientStatusDump(const ServerView& view, DumpOptions options)
      : view_(view), options_(std::move(options)) {
    json_.begin_object().key("config").begin_array().begin_object();
    json_.key("node").begin_object();
    view_.write_node(json_);
    json_.end_object();
  }

 private:
  static constexpr Kind kKinds[] = {Kind::kListener,    Kind::kRoute,   Kind::kVirtualHost,
                                    Kind::kScopedRoute, Kind::kCluster, Kind::kEndpoints,
                                    Kind::kExtension,   Kind::kSecret,  Kind::kRuntimeLayer};

  static std::string_view message_of(Kind kind) {
    if (kind == Kind::kVirtualHost) return "envoy.config.route.v3.VirtualHost";
    if (kind == Kind::kRuntimeLayer) return "envoy.service.runtime.v3.Runtime";
    return std::ranges::find(dump_sections(), kind, &DumpSection::kind)->resource_message;
  }

  bool step() override {
    if (is_open_) {
      if (is_in_value_ && value_.step(kValuesPerStep)) return true;
      end_resource();
      return true;
    }
    if (at_ == resources_.size()) return next_kind();
    const ConfigResource& resource = resources_[at_++];
    const bool is_wanted = resource.is_dynamic &&
                           (options_.filter == nullptr || options_.filter->matches(resource.name));
    if (is_wanted) begin_resource(resource);
    return true;
  }

  bool next_kind() {
    if (kind_ == std::size(kKinds)) {
      close_array();
      json_.end_object().end_array().end_object();
      return false;
    }
    resources_ = view_.config(kKinds[kind_]);
    for (ConfigResource& one : view_.missing(kKinds[kind_])) resources_.push_back(std::move(one));
    at_ = 0;
    ++kind_;
    return true;
  }

  void begin_resource(const ConfigResource& resource) {
    open_array("generic_xds_configs");
    const std::string type = str("type.googleapis.com/", message_of(resource.kind));
    json_.begin_object().field("type_url", type).field("name", resource.name);
    if (!resource.version.empty()) json_.field("version_info", resource.version);
    is_open_ = true;
    if (!options_.with_contents) return;
    const config::Value* value = value_of(resource, document_);
    if (value == nullptr) return;
    json_.key("xds_config").begin_object();
    if (!says_its_type(*value)) json_.field("@type", type);
    value_.begin_fields(*value, nullptr);
    is_in_value_ = true;
  }

  void end_resource() {
    const ConfigResource& resource = resources_[at_ - 1];
    if (std::exchange(is_in_value_, false)) json_.end_object();
    document_ = nullptr;
    if (resource.last_updated != WallTime{})
      json_.field("last_updated", utc_text(resource.last_updated));
    json_.field("config_status", config_status(resource));
    json_.field("client_status", status_name(resource.client_status));
    if (resource.error_state) {
      json_.key("error_state");
      write_failure(json_, *resource.error_state);
    }
    json_.end_object();
    is_open_ = false;
  }

  const ServerView& view_;
  const DumpOptions options_;
  size_t kind_ = 0;
  std::vector<ConfigResource> resources_;  // of the kind before it
  size_t at_ = 0;
  bool is_open_ = false;
  bool is_in_value_ = false;
  std::shared_ptr<const config::Document> document_;  // that is being written
  ValueWriter value_{json_};
};

}  // namespace

std::string_view status_name(ClientStatus status) noexcept {
  switch (status) {
    case ClientStatus::kUnknown:
      break;
    case ClientStatus::kRequested:
      return "REQUESTED";
    case ClientStatus::kDoesNotExist:
      return "DOES_NOT_EXIST";
    case ClientStatus::kAcked:
      return "ACKED";
    case ClientStatus::kNacked:
      return "NACKED";
    case ClientStatus::kReceivedError:
      return "RECEIVED_ERROR";
    case ClientStatus::kTimeout:
      return "TIMEOUT";
  }
  return "UNKNOWN";
}

bool fits(const FieldMask& mask, const DumpSection& section, const HasField& has_field) {
  return std::ranges::all_of(
      mask.paths(), [&](const std::string& path) { return is_path_of(section, path, has_field); });
}

std::unique_ptr<stats::TextSource> make_config_dump(const ServerView& view, DumpOptions options,
                                                    const HasField& has_field) {
  return std::make_unique<ConfigDump>(view, std::move(options), has_field);
}

std::unique_ptr<stats::TextSource> make_list_dump(const ServerView& view,
                                                  const DumpSection& section, const DumpList& list,
                                                  DumpOptions options) {
  return std::make_unique<ListDump>(view, section, list, std::move(options));
}

std::unique_ptr<stats::TextSource> make_client_status(const ServerView& view, DumpOptions options) {
  return std::make_unique<ClientStatusDump>(view, std::move(options));
}

}  // namespace pillion::admin
