// Requests as bytes.
#include <algorithm>

#include "proxy/base/protobuf_wire.h"
#include "proxy/base/str.h"
#include "proxy/base/utf8.h"
#include "xds/discovery_message.h"

namespace pillion::xds {
namespace {

constexpr std::string_view kPrefix = "type.googleapis.com/";
constexpr uint64_t kInvalidArgument = 3;  // google.rpc.Code
constexpr size_t kMaxErrorText = size_t{16} << 10;

// What goes into a string field must be UTF-8, or the server ends the stream.
std::string well_formed(std::string_view text) {
  std::string out;
  while (!text.empty() && out.size() < kMaxErrorText) {
    const size_t length = utf8_length(text);
    out.append(length == 0 ? std::string_view("?") : text.substr(0, length));
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return text.empty() ? out : out + " ...";
}

// google.rpc.Status
std::string status_of(std::string_view error) {
  std::string status;
  if (error.empty()) return status;
  wire::write_number(status, 1, kInvalidArgument);
  wire::write_bytes(status, 2, well_formed(error));
  return status;
}

std::string url_of(ResourceType type) { return str(kPrefix, message_of(type)); }

}  // namespace

std::string encode_request(const Request& request) {
  std::string out;
  wire::write_bytes(out, 1, request.version);
  wire::write_bytes(out, 2, request.node);
  wire::write_bytes(out, 4, url_of(request.type));
  wire::write_bytes(out, 5, request.nonce);
  wire::write_bytes(out, 6, status_of(request.error));
  return out;
}

void encode_name(std::string& names, std::string_view name) { wire::write_item(names, 3, name); }

std::string encode_request(const DeltaRequest& request) {
  std::string out;
  wire::write_bytes(out, 1, request.node);
  wire::write_bytes(out, 2, url_of(request.type));
  for (const std::string_view name : request.subscribe) wire::write_item(out, 3, name);
  for (const std::string_view name : request.unsubscribe) wire::write_item(out, 4, name);
  for (const auto& [name, version] : request.versions) {
    std::string entry;
    wire::write_bytes(entry, 1, name);
    wire::write_bytes(entry, 2, version);
    wire::write_item(out, 5, entry);
  }
  wire::write_bytes(out, 6, request.nonce);
  wire::write_bytes(out, 7, status_of(request.error));
  return out;
}

}  // namespace pillion::xds
