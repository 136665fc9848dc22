#include "xds/discovery_message.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "proxy/base/str.h"
#include "proxy/base/utf8.h"
#include "proxy/config/suggest.h"

namespace pillion::xds {
namespace {

namespace pb = google::protobuf;
using Wire = pb::internal::WireFormatLite;

constexpr std::string_view kMessages[] = {"envoy.config.cluster.v3.Cluster",
                                          "envoy.config.endpoint.v3.ClusterLoadAssignment",
                                          "envoy.config.listener.v3.Listener",
                                          "envoy.config.core.v3.TypedExtensionConfig",
                                          "envoy.config.route.v3.ScopedRouteConfiguration",
                                          "envoy.config.route.v3.RouteConfiguration",
                                          "envoy.config.route.v3.VirtualHost",
                                          "envoy.extensions.transport_sockets.tls.v3.Secret",
                                          "envoy.service.runtime.v3.Runtime"};
constexpr std::string_view kShort[] = {"cds", "eds",  "lds", "ecds", "srds",
                                       "rds", "vhds", "sds", "rtds"};
constexpr std::string_view kPrefix = "type.googleapis.com/";
constexpr uint32_t kInvalidArgument = 3;  // google.rpc.Code
constexpr size_t kMaxErrorText = size_t{16} << 10;

std::optional<ResourceType> type_of(std::string_view url) {
  const std::string_view name = url.substr(url.rfind('/') + 1);
  for (const ResourceType type : kAllTypes) {
    if (name == message_of(type)) return type;
  }
  return std::nullopt;
}

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

// Calls fn(number, value) for each length-delimited field; others are skipped.  False: no message.
template <typename Fn>
bool for_each_field(std::string_view bytes, Fn&& fn) {
  pb::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                              static_cast<int>(bytes.size()));
  while (const uint32_t tag = in.ReadTag()) {
    if (Wire::GetTagWireType(tag) != Wire::WIRETYPE_LENGTH_DELIMITED) {
      if (!Wire::SkipField(&in, tag)) return false;
      continue;
    }
    uint32_t size = 0;
    if (!in.ReadVarint32(&size)) return false;
    const auto at = static_cast<size_t>(in.CurrentPosition());
    if (size > bytes.size() - at || !in.Skip(static_cast<int>(size))) return false;
    fn(Wire::GetTagFieldNumber(tag), bytes.substr(at, size));
  }
  return in.ConsumedEntireMessage();
}

struct AnyView {
  std::string_view url;
  std::string_view value;
};

// All types keep their name in their first field.
bool read_name(std::string_view bytes, std::string& name) {
  std::string_view found;
  const bool is_message = for_each_field(bytes, [&](int number, std::string_view value) {
    if (number == 1) found = value;
  });
  name.assign(found);
  return is_message;
}

std::string check(const std::vector<AnyView>& resources, Response& out) {
  std::unordered_set<std::string_view> names;
  const std::string_view kind = short_name(out.type);
  for (size_t i = 0; i < resources.size(); ++i) {
    const AnyView& any = resources[i];
    if (type_of(any.url) != out.type)
      return str(kind, ": resources[", i, "]: expected a ", message_of(out.type), ", got \"",
                 config::printable(any.url), '"');
    Resource& resource = out.resources.emplace_back();
    if (!read_name(any.value, resource.name))
      return str(kind, ": resources[", i, "]: the bytes are no ", message_of(out.type));
    resource.bytes.assign(any.value);
  }
  for (const Resource& resource : out.resources) {
    if (!resource.name.empty() && !names.insert(resource.name).second)
      return str(kind, '/', config::printable(resource.name), ": there are two of this name");
  }
  return {};
}

}  // namespace

std::string_view message_of(ResourceType type) noexcept {
  return kMessages[static_cast<size_t>(type)];
}
std::string_view short_name(ResourceType type) noexcept {
  return kShort[static_cast<size_t>(type)];
}

Result<Response> decode_response(std::string_view bytes) {
  Response out;
  std::string_view url;
  std::vector<AnyView> resources;
  bool is_sound = bytes.size() <= INT32_MAX;
  const bool is_message =
      is_sound && for_each_field(bytes, [&](int number, std::string_view value) {
        if (number == 1) out.version.assign(value);
        if (number == 4) url = value;
        if (number == 5) out.nonce.assign(value);
        if (number == 6) is_sound &= read_name(value, out.control_plane);
        if (number != 2 || resources.size() > kMaxResources) return;
        AnyView& any = resources.emplace_back();
        is_sound &= for_each_field(value, [&any](int field, std::string_view text) {
          if (field == 1) any.url = text;
          if (field == 2) any.value = text;
        });
      });
  if (!is_message || !is_sound) return Error{"the bytes are no DiscoveryResponse"};
  const auto type = type_of(url);
  if (!type) return Error{str("unknown type \"", config::printable(url), '"')};
  out.type = *type;
  out.wrong = resources.size() > kMaxResources
                  ? str(short_name(*type), ": more than ", kMaxResources, " resources")
                  : check(resources, out);
  if (!out.wrong.empty()) out.resources.clear();
  return out;
}

std::string encode_request(const Request& request) {
  std::string out;
  pb::io::StringOutputStream stream(&out);
  pb::io::CodedOutputStream to(&stream);
  const auto field = [&to](int number, std::string_view value) {
    if (value.empty()) return;
    to.WriteTag(Wire::MakeTag(number, Wire::WIRETYPE_LENGTH_DELIMITED));
    to.WriteVarint32(static_cast<uint32_t>(value.size()));
    to.WriteRaw(value.data(), static_cast<int>(value.size()));
  };
  field(1, request.version);
  field(2, request.node);
  if (request.names != nullptr) {
    for (const std::string& name : *request.names) field(3, name);
  }
  field(4, str(kPrefix, message_of(request.type)));
  field(5, request.nonce);
  if (!request.error.empty()) {
    const std::string text = well_formed(request.error);
    std::string status;
    {
      pb::io::StringOutputStream inner(&status);
      pb::io::CodedOutputStream status_to(&inner);
      status_to.WriteTag(Wire::MakeTag(1, Wire::WIRETYPE_VARINT));
      status_to.WriteVarint32(kInvalidArgument);
      status_to.WriteTag(Wire::MakeTag(2, Wire::WIRETYPE_LENGTH_DELIMITED));
      status_to.WriteVarint32(static_cast<uint32_t>(text.size()));
      status_to.WriteRaw(text.data(), static_cast<int>(text.size()));
    }
    field(6, status);
  }
  to.Trim();
  return out;
}

}  // namespace pillion::xds
