#pragma once
// A copy of a document with changes: what is not mentioned stays as it was written.
//
//   Rewrite rewrite(document);
//   rewrite.last(spec, [](EnvoyWriter& out) { out.text("serviceAccountName", "users"); });
//   DocumentPtr changed = rewrite.apply();
//
// Values that are added have no place.  The writers are called by apply(), once each; what they
// borrow must live until then.  The values named belong to `document`.

#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proxy/config/envoy_writer.h"
#include "proxy/config/loader.h"

namespace pillion::config {

class Rewrite {
 public:
  using Write = std::function<void(EnvoyWriter&)>;

  explicit Rewrite(DocumentPtr document) : document_(std::move(document)) {}

  // Adds items or entries to a list or mapping: before what is in it, or behind.
  void first(const Value& container, Write write);
  void last(const Value& container, Write write);
  // Replaces a scalar or null by a string or number.
  void scalar(const Value& value, std::string text);
  void scalar(const Value& value, uint64_t number);

  // The same for the list or mapping that is to stand under `key` of a mapping: it is made if it
  // is not there, or null.
  void first_of_list(const Value& mapping, std::string_view key, Write write);
  void last_of_list(const Value& mapping, std::string_view key, Write write);
  void last_of_mapping(const Value& mapping, std::string_view key, Write write);

  [[nodiscard]] DocumentPtr apply() const;

 private:
  struct Change {
    std::vector<Write> first, last;
    std::function<void(TreeBuilder&)> instead;
  };
  void add(const Value& mapping, std::string_view key, Kind kind, bool is_first, Write write);
  void copy(const Value& value, TreeBuilder& tree) const;

  DocumentPtr document_;
  std::unordered_map<const Value*, Change> changes_;
};

}  // namespace pillion::config
