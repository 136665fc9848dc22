#pragma once
// A configuration as JSON, without its secrets.

#include <cstddef>
#include <string_view>
#include <vector>

#include "proxy/admin/field_mask.h"
#include "proxy/base/json_writer.h"
#include "proxy/config/document.h"

namespace pillion::admin {

// What stands in place of a secret.
inline constexpr std::string_view kRedacted = "[redacted]";

// Is `key` the field of that name, in either spelling (private_key, privateKey)?
bool is_field(std::string_view key, std::string_view field);

// Writes `value` with everything below it.  Under a field that holds a secret (private keys,
// passwords, tokens, session ticket keys, HMAC secrets: what Envoy's API marks as sensitive) all
// texts are replaced, but for names of files and environment variables, which are no secret and are
// what one looks for.
void write_redacted(JsonWriter& json, const config::Value& value);
// Would it replace anything?
bool holds_secret(const config::Value& value);
// The fields of a mapping alone, into an object that is open.
void write_redacted_fields(JsonWriter& json, const config::Value& mapping);

// The same in portions: a table of ten thousand routes is too much for one turn.
//
//   writer.begin_fields(value, mask);           // the document lives until step() returned false
//   while (writer.step(n)) hand on what was written;
class ValueWriter {
 public:
  // `json` outlives the writer.
  explicit ValueWriter(JsonWriter& json) : json_(json) {}

  // The fields of `mapping` come next, into an object that is open; null `mask`: all of them.
  void begin_fields(const config::Value& mapping, const FieldMask::Node* mask);
  // Writes about `values` values more; false: that was all.
  bool step(size_t values);

 private:
  // A container that is open.
  struct Frame {
    const config::Value* next;  // child; null: all are written
    const FieldMask::Node* mask;
    bool is_mapping;
    bool is_secret;
  };
  void write(const config::Value& value, const FieldMask::Node* mask, bool is_secret);

  JsonWriter& json_;
  std::vector<Frame> open_;  // the first is the caller's to close
};

}  // namespace pillion::admin
