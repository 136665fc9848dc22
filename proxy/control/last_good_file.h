#pragma once
// The file of LastGood: one line with the hash of the rest, then protobuf's wire format.

#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "xds/discovery_message.h"

namespace pillion {

struct LastGoodItem {
  xds::ResourceType type;
  std::string_view name;
  std::string_view version;
  std::string_view bytes;
};

std::string encode_last_good(std::string_view owner, const std::vector<LastGoodItem>& items);

// The items point into `text`.  An error: it is cut, changed, of another version or of another
// owner.
Result<std::vector<LastGoodItem>> decode_last_good(std::string_view text, std::string_view owner);

// By rename, so that a reader never sees a part; for nobody else to read.  May block.
Status<> replace_file(const std::string& path, std::string_view text);

}  // namespace pillion
