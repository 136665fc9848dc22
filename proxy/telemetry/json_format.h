#pragma once
// JsonFormat: json_format of an access log or local reply: a JSON document with %OPERATORS% in its
// strings.  A string that is one operator becomes the operator's value, so numbers stay numbers and
// what has no value is null; with omit_empty_values such fields are left out.
//
// Fields come in the order of the configuration (sort_properties: by name).  Immutable, shared by
// threads; append() allocates only to grow `out`.

#include <memory>
#include <string>
#include <vector>

#include "proxy/config/node.h"
#include "proxy/telemetry/format.h"

namespace pillion::telemetry {

class JsonFormat {
 public:
  struct Options {
    bool omit_empty_values = false;
    bool sort_properties = false;
  };
  // `node` is a mapping; errors go to its list.
  static JsonFormat parse(const config::Node& node, const Options& options);

  // One line, with its end.
  void append(std::string& out, const core::StreamInfo& info) const;

 private:
  struct Item;
  struct Member {
    std::string key;  // quoted, with its colon: "\"name\":"
    std::unique_ptr<Item> item;
  };
  struct Item {
    enum class Kind : uint8_t { kConstant, kValue, kText, kObject, kArray };
    Kind kind = Kind::kConstant;
    std::string constant;  // as JSON
    Format format;         // of kValue (one operator) and kText
    std::vector<Member> members;
  };

  Item parse_item(const config::Node& node, const Options& options) const;
  void parse_members(const config::Node& node, const Options& options, Item& item) const;
  static Item parse_scalar(const config::Node& node, const Options& options);
  // False: there is no value, and nothing was written.
  static bool append_item(std::string& out, const Item& item, const core::StreamInfo& info,
                          bool omit);
  static void append_members(std::string& out, const Item& item, const core::StreamInfo& info,
                             bool omit);

  Item root_;
  bool omit_empty_values_ = false;
};

}  // namespace pillion::telemetry
