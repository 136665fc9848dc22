#pragma once
// The parts of a config dump: which lists there are, and one entry of a list as JSON.
// Internal to /config_dump and /csds.

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "proxy/admin/config_json.h"
#include "proxy/admin/field_mask.h"
#include "proxy/admin/pages.h"
#include "proxy/admin/server_view.h"
#include "proxy/base/json_writer.h"

namespace pillion::admin {

// One list of a message of the dump.
struct DumpList {
  std::string_view name;   // "dynamic_active_clusters"
  std::string_view entry;  // its message within the section's: "DynamicCluster"
  bool is_dynamic;
  bool is_warming;  // of those that have lists of their own for what waits
};

// One message of the dump, of envoy.admin.v3.
struct DumpSection {
  ConfigResource::Kind kind;
  std::string_view message;           // "ClustersConfigDump"
  std::span<const DumpList> lists;    // none: the message is one entry
  std::string_view field;             // of an entry, that holds the resource
  std::string_view resource_message;  // its type; empty: the field is no Any
  bool has_version;                   // the message tells that of the last response
  bool only_with_eds;
  bool is_left_out_empty;
};

// In the order of Envoy's dump.
std::span<const DumpSection> dump_sections();

// The list that the resource stands in; null for a section without lists.
const DumpList* list_of(const DumpSection& section, const ConfigResource& resource);

// Does such a path of a mask name something, by the rules of Envoy: in a whole message, and in an
// entry?  It may not lead into a list.  Within a resource only `has_field` knows; may be null.
bool is_path_of(const DumpSection& section, std::string_view path, const HasField& has_field);
bool is_path_of(const DumpSection& section, const DumpList& list, std::string_view path,
                const HasField& has_field);

// Writes one entry in portions: its fields, into an object that is open.
//
//   writer.begin(section, resources of one entry, mask);
//   while (writer.step(n)) hand on what was written;
class EntryWriter {
 public:
  // `json` outlives the writer.
  explicit EntryWriter(JsonWriter& json) : json_(json), value_(json) {}

  // `states`: a resource; of a listener also what will take its place, and what it has replaced.
  // They live until step() returns false.
  void begin(const DumpSection& section, std::span<const ConfigResource> states,
             const FieldMask::Node* mask);
  // Writes about `values` values more; false: the entry is complete.
  bool step(size_t values);

 private:
  enum class Phase : uint8_t { kHead, kState, kValue, kError, kRefused, kEnd };
  void write_head();
  void begin_state();
  void end_state();
  void begin_resource(const config::Value& value, std::string_view message);
  void begin_error();
  void write_end();
  [[nodiscard]] bool has_states() const noexcept;

  JsonWriter& json_;
  ValueWriter value_;
  Phase phase_ = Phase::kHead;
  const DumpSection* section_ = nullptr;
  std::span<const ConfigResource> states_;
  size_t at_ = 0;
  const FieldMask::Node* mask_ = nullptr;
  const FieldMask::Node* state_mask_ = nullptr;
  bool is_in_state_ = false;  // an object for the state is open
  bool is_in_value_ = false;
  std::shared_ptr<const config::Document> rendered_;  // the one that is being written
};

// A field of a mapping, in either of its spellings; null: it has none, or is none.
const config::Value* child(const config::Value* value, std::string_view field);

// Has it an "@type" of its own, as the resources of a file have?  Messages have none.
bool says_its_type(const config::Value& value);

// The resource of that name in the document that it was read from: all of it, or, where that is the
// DiscoveryResponse of a file, one of many, perhaps wrapped (xds/file_response.h).
const config::Value& resource_in(const config::Document& document, std::string_view name);

// The resource's document and value, made if need be; null: it has none.
const config::Value* value_of(const ConfigResource& resource,
                              std::shared_ptr<const config::Document>& keeps);

}  // namespace pillion::admin
