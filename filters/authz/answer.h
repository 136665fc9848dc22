#pragma once
// Answer: what an authorization service said about a request, whichever protocol it speaks, before
// anything of it is believed.  Texts are in the stream's arena.

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/core/metadata.h"
#include "proxy/http/headers.h"

namespace pillion::filters::authz {

// envoy.config.core.v3.HeaderValueOption.HeaderAppendAction, and Envoy's older `append`, which
// joins values by a comma where there is one to join.
enum class HeaderAction : uint8_t { kAppend, kAddIfAbsent, kOverwriteOrAdd, kOverwriteIfExists };

struct HeaderChange {
  std::string_view name;  // lower case
  std::string_view value;
  HeaderAction action = HeaderAction::kAppend;
};

struct Answer {
  enum class Verdict : uint8_t { kOk, kDenied, kError };

  Verdict verdict = Verdict::kError;
  uint16_t status = 0;      // of the reply to the client; 0: the default
  std::string_view body;    // of that reply
  bool is_invalid = false;  // it asks for what there is not

  std::vector<HeaderChange> reply_headers;     // of that reply
  std::vector<HeaderChange> request_headers;   // if all is well
  std::vector<std::string_view> removed;       // request headers
  std::vector<HeaderChange> response_headers;  // of the upstream's response
  std::vector<std::pair<std::string_view, std::string_view>> query_set;
  std::vector<std::string_view> query_removed;
  core::MetadataValue metadata;  // a struct; null: none
};

}  // namespace pillion::filters::authz
