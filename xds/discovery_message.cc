// Responses of both protocols from bytes.
#include "xds/discovery_message.h"

#include <algorithm>
#include <string>
#include <unordered_set>

#include "proxy/base/protobuf_wire.h"
#include "proxy/base/str.h"
#include "proxy/base/utf8.h"
#include "proxy/config/suggest.h"

namespace pillion::xds {
namespace {

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
constexpr std::string_view kWrapper = "envoy.service.discovery.v3.Resource";
constexpr std::string_view kLocator = "xdstp:";
// As good as for ever (config/node.h).
constexpr int64_t kMaxSeconds = int64_t{10} * 365 * 24 * 3600;

// Where the two responses keep what they have in common.
struct Layout {
  std::string_view message;
  uint32_t removed, control_plane, errors;
  bool is_delta;
};
constexpr Layout kStateOfTheWorld = {"DiscoveryResponse", 0, 6, 7, false};
constexpr Layout kDelta = {"DeltaDiscoveryResponse", 6, 7, 9, true};

std::string_view message_in(std::string_view url) { return url.substr(url.rfind('/') + 1); }

std::optional<ResourceType> type_of(std::string_view url) {
  const std::string_view name = message_in(url);
  for (const ResourceType type : kAllTypes) {
    if (name == message_of(type)) return type;
  }
  return std::nullopt;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

// Calls fn(field) for each field.  False: no message.
template <typename Fn>
bool for_each_field(std::string_view bytes, Fn&& fn) {
  wire::Reader in(bytes);
  for (wire::Field field; in.next(field);) fn(field);
  return in.is_sound();
}

// All types keep their name in their first field.
bool read_name(std::string_view bytes, std::string& name) {
  std::string_view found;
  const bool is_message = for_each_field(bytes, [&](const wire::Field& field) {
    if (field.number == 1 && field.is_bytes) found = field.bytes;
  });
  name.assign(found);
  return is_message;
}

// A resource, as it lies in its Any or its wrapper.
struct Raw {
  std::string_view url, value;  // of the Any
  std::string_view name, version;
  std::vector<std::string_view> aliases;
  bool has_body = true;
  bool is_wrapped = false;
  std::optional<Duration> ttl;
};

bool read_any(std::string_view bytes, Raw& out) {
  return for_each_field(bytes, [&out](const wire::Field& field) {
    if (field.number == 1 && field.is_bytes) out.url = field.bytes;
    if (field.number == 2 && field.is_bytes) out.value = field.bytes;
  });
}

// google.protobuf.Duration
bool read_duration(std::string_view bytes, Duration& out) {
  int64_t seconds = 0;
  int64_t nanos = 0;
  const bool is_message = for_each_field(bytes, [&](const wire::Field& field) {
    if (field.number == 1) seconds = static_cast<int64_t>(field.value);
    if (field.number == 2) nanos = static_cast<int32_t>(field.value);
  });
  seconds = std::clamp(seconds, int64_t{-1}, kMaxSeconds);
  out = std::chrono::seconds(seconds) + Duration(nanos);
  return is_message;
}

// envoy.service.discovery.v3.Resource
bool read_wrapper(std::string_view bytes, Raw& out) {
  bool is_sound = true;
  out.is_wrapped = true;
  out.has_body = false;
  is_sound &= for_each_field(bytes, [&](const wire::Field& field) {
    if (!field.is_bytes) return;
    if (field.number == 1) out.version = field.bytes;
    if (field.number == 3) out.name = field.bytes;
    if (field.number == 4) out.aliases.push_back(field.bytes);
    if (field.number == 2) {
      out.has_body = true;
      is_sound &= read_any(field.bytes, out);
    }
    if (field.number == 6) is_sound &= read_duration(field.bytes, out.ttl.emplace());
  });
  return is_sound;
}

// envoy.service.discovery.v3.ResourceError
bool read_error(std::string_view bytes, ResourceError& out) {
  bool is_sound = true;
  is_sound &= for_each_field(bytes, [&](const wire::Field& field) {
    if (!field.is_bytes) return;
    if (field.number == 1) is_sound &= read_name(field.bytes, out.name);
    if (field.number != 2) return;
    is_sound &= for_each_field(field.bytes, [&](const wire::Field& status) {
      if (status.number == 2 && status.is_bytes) out.reason.assign(status.bytes);
    });
  });
  return is_sound;
}

// What is wrong with one; its name is the wrapper's, which must be its own.  A virtual host is
// called by its table and domain in the wrapper, and otherwise in itself.
std::string read_resource(ResourceType type, const Raw& raw, Resource& out) {
  out.has_body = raw.has_body;
  out.version.assign(raw.version);
  out.aliases.assign(raw.aliases.begin(), raw.aliases.end());
  out.name.assign(raw.name);
  if (raw.has_body) {
    if (type_of(raw.url) != type)
      return str("expected a ", message_of(type), ", got \"", config::printable(raw.url), '"');
    std::string own;
    if (!read_name(raw.value, own)) return str("the bytes are no ", message_of(type));
    if (out.name.empty()) {
      out.name = std::move(own);
    } else if (!own.empty() && own != out.name && type != ResourceType::kVirtualHosts) {
      return str("it is called \"", config::printable(out.name), "\", and \"",
                 config::printable(own), "\" in itself");
    }
    out.bytes.assign(raw.value);
  } else if (out.name.empty()) {
    return "there is neither a name nor a resource";
  }
  if (raw.ttl) {
    if (*raw.ttl <= Duration{}) return "ttl: expected more than 0s";
    out.ttl = *raw.ttl;
  }
  if (!is_utf8(out.name)) return "the name is no UTF-8";
  if (out.name.starts_with(kLocator))
    return str("\"", config::printable(out.name), "\": xdstp:// names are not supported");
  return {};
}

std::string check(const std::vector<Raw>& resources, Response& out) {
  std::unordered_set<std::string_view> names;
  const std::string_view kind = short_name(out.type);
  out.resources.reserve(resources.size());
  for (size_t i = 0; i < resources.size(); ++i) {
    const std::string wrong = read_resource(out.type, resources[i], out.resources.emplace_back());
    if (!wrong.empty()) return str(kind, ": resources[", i, "]: ", wrong);
  }
  const auto is_second = [&names](std::string_view name) {
    return !name.empty() && !names.insert(name).second;
  };
  for (const Resource& resource : out.resources) {
    if (is_second(resource.name))
      return str(kind, '/', config::printable(resource.name), ": there are two of this name");
  }
  for (const std::string& name : out.removed) {
    if (is_second(name))
      return str(kind, '/', config::printable(name), ": it is named twice, once as removed");
  }
  return {};
}

struct Fields {
  std::string_view url;
  std::vector<Raw> resources;
  bool is_sound = true;

  [[nodiscard]] bool is_full(const Response& out) const {
    return resources.size() + out.removed.size() + out.errors.size() > kMaxResources;
  }
};

bool read_resource_field(const Layout& layout, std::string_view bytes, Raw& raw) {
  if (layout.is_delta) return read_wrapper(bytes, raw);
  if (!read_any(bytes, raw)) return false;
  if (message_in(raw.url) != kWrapper) return true;
  const std::string_view wrapped = raw.value;
  raw = {};
  return read_wrapper(wrapped, raw);
}

Result<Response> decode(std::string_view bytes, std::optional<ResourceType> only,
                        const Layout& layout) {
  Response out;
  Fields fields;
  out.is_delta = layout.is_delta;
  const bool is_message = for_each_field(bytes, [&](const wire::Field& field) {
    if (!field.is_bytes) return;
    if (field.number == 1) out.version.assign(field.bytes);
    if (field.number == 4) fields.url = field.bytes;
    if (field.number == 5) out.nonce.assign(field.bytes);
    if (field.number == layout.control_plane)
      fields.is_sound &= read_name(field.bytes, out.control_plane);
    if (fields.is_full(out)) return;
    if (field.number == 2)
      fields.is_sound &= read_resource_field(layout, field.bytes, fields.resources.emplace_back());
    if (field.number == layout.removed) out.removed.emplace_back(field.bytes);
    if (field.number == layout.errors)
      fields.is_sound &= read_error(field.bytes, out.errors.emplace_back());
  });
  // Both are said back, in fields that must be UTF-8.
  if (!is_message || !fields.is_sound || !is_utf8(out.version) || !is_utf8(out.nonce))
    return Error{str("the bytes are no ", layout.message)};
  const auto type = fields.url.empty() && only ? only : type_of(fields.url);
  if (!type) return Error{str("unknown type \"", config::printable(fields.url), '"')};
  out.type = *type;
  out.wrong = fields.is_full(out)
                  ? str(short_name(*type), ": more than ", kMaxResources, " resources")
                  : check(fields.resources, out);
  if (!out.wrong.empty()) {
    out.resources.clear();
    out.removed.clear();
    out.errors.clear();
  }
  return out;
}

}  // namespace

std::string_view message_of(ResourceType type) noexcept {
  return kMessages[static_cast<size_t>(type)];
}
std::string_view short_name(ResourceType type) noexcept {
  return kShort[static_cast<size_t>(type)];
}

Result<Response> decode_response(std::string_view bytes, std::optional<ResourceType> only) {
  return decode(bytes, only, kStateOfTheWorld);
}

Result<Response> decode_delta_response(std::string_view bytes, std::optional<ResourceType> only) {
  return decode(bytes, only, kDelta);
}

}  // namespace pillion::xds
