#include "proxy/core/request_headers.h"

#include <array>
#include <charconv>

#include "proxy/base/number_text.h"
#include "proxy/base/str.h"
#include "proxy/base/uuid.h"
#include "proxy/core/client_cert_header.h"
#include "proxy/http/authority.h"
#include "proxy/route/rewrite.h"

namespace pillion::core {
namespace {

using http::HeaderId;

// Fields that steer the proxy and only its own mesh may send (envoy.md 2.1, rule 10).
constexpr HeaderId kInternalOnly[] = {
    HeaderId::kXEnvoyRetriableStatusCodes,
    HeaderId::kXEnvoyRetriableHeaderNames,
    HeaderId::kXEnvoyRetryOn,
    HeaderId::kXEnvoyRetryGrpcOn,
    HeaderId::kXEnvoyMaxRetries,
    HeaderId::kXEnvoyUpstreamAltStatName,
    HeaderId::kXEnvoyUpstreamRqTimeoutMs,
    HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs,
    HeaderId::kXEnvoyUpstreamRqTimeoutAltResponse,
    HeaderId::kXEnvoyExpectedRqTimeoutMs,
    HeaderId::kXEnvoyForceTrace,
    HeaderId::kXEnvoyIpTags,
    HeaderId::kXEnvoyOriginalUrl,
    HeaderId::kXEnvoyOriginalPath,
    HeaderId::kXEnvoyOriginalHost,
    HeaderId::kXEnvoyHedgeOnPerTryTimeout,
    HeaderId::kXEnvoyInternal,
};
// With use_remote_address the peer is the outside world, which may not name services either.
constexpr HeaderId kEdgeOnly[] = {
    HeaderId::kXEnvoyDecoratorOperation, HeaderId::kXEnvoyDownstreamServiceCluster,
    HeaderId::kXEnvoyDownstreamServiceNode, HeaderId::kXEnvoyExternalAddress};

constexpr bool is_envoy_control(HeaderId id, bool edge) {
  for (HeaderId other : kInternalOnly) {
    if (id == other) return true;
  }
  if (!edge) return false;
  for (HeaderId other : kEdgeOnly) {
    if (id == other) return true;
  }
  return false;
}

constexpr size_t kIds = static_cast<size_t>(HeaderId::kCount);
template <bool kEdge>
constexpr auto kStripTable = [] {
  std::array<bool, 256> table{};
  for (size_t id = 0; id < kIds; ++id)
    table[id] = is_envoy_control(static_cast<HeaderId>(id), kEdge);
  return table;
}();

// One pass over the fields instead of a search per name.
void strip_control_fields(http::Headers& headers, bool edge) {
  const auto& table = edge ? kStripTable<true> : kStripTable<false>;
  http::Field* const begin = headers.mutable_begin();
  for (http::Field* f = begin; f != headers.end(); ++f) {
    if (table[static_cast<size_t>(f->id)]) f->id = HeaderId::kRemoved;
  }
}

std::string_view without_port(std::string_view authority, std::string_view* port) {
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket))
    return authority;
  *port = authority.substr(colon + 1);
  return authority.substr(0, colon);
}

void normalize_host(http::RequestHead& head, const HcmConfig& config,
                    const ConnectionInfo& connection) {
  head.authority = http::canonical_authority(head.authority, head.headers.arena());
  if (head.method == http::Method::kConnect) return;  // where to, port included
  if (config.strip_any_host_port || config.strip_matching_host_port) {
    std::string_view port;
    const std::string_view host = without_port(head.authority, &port);
    char local[8];
    const std::string_view local_port(
        local,
        static_cast<size_t>(
            std::to_chars(local, local + sizeof local, connection.local.port()).ptr - local));
    if (config.strip_any_host_port || port == local_port) head.authority = host;
  }
  if (config.strip_trailing_host_dot) {
    std::string_view port;
    const std::string_view host = without_port(head.authority, &port);
    if (!host.empty() && host.back() == '.') {
      // All of them: "a.." is as little another name as "a." is.
      const std::string_view bare = host.substr(0, host.find_last_not_of('.') + 1);
      head.authority = port.empty() ? bare : route::join(head.headers.arena(), {bare, ":", port});
    }
  }
}

// All fields of that name as one list, in their order (RFC 9110, 5.3): the last one counts most,
// and may stand in a field of its own.
std::string_view joined(http::Headers& headers, HeaderId id, std::string_view separator) {
  const http::Field* const first = headers.find(id);
  if (first == nullptr) return {};
  std::string_view text = first->value;
  for (const http::Field* f = first + 1; f != headers.end(); ++f) {
    if (f->id == id) text = route::join(headers.arena(), {text, separator, f->value});
  }
  return text;
}

void add_forwarded(http::RequestHead& head, const HcmConfig& config,
                   const ConnectionInfo& connection) {
  http::Headers& headers = head.headers;
  const std::string_view scheme = connection.identity != nullptr ? "https" : "http";
  if (config.use_remote_address) {
    if (!config.skip_xff_append && connection.direct_remote().is_ip()) {
      char text[io::Address::kMaxText];
      const std::string_view address(text, connection.direct_remote().format(text, false));
      const std::string_view before = joined(headers, HeaderId::kXForwardedFor, ",");
      headers.set(HeaderId::kXForwardedFor,
                  route::join(headers.arena(), {before, before.empty() ? "" : ",", address}));
    }
    // We are the first of our network that the client meets: who it is, for those behind us.
    if (connection.remote.is_ip()) {
      char text[io::Address::kMaxText];
      headers.set(HeaderId::kXEnvoyExternalAddress,
                  headers.arena().copy({text, connection.remote.format(text, false)}));
    }
    // Without trusted hops in front, what the client says of its protocol is a claim.
    if (config.xff_num_trusted_hops == 0) headers.remove(HeaderId::kXForwardedProto);
  }
  const std::string_view forwarded = headers.get(HeaderId::kXForwardedProto);
  if (forwarded != "http" && forwarded != "https") headers.set(HeaderId::kXForwardedProto, scheme);
  head.scheme = headers.get(HeaderId::kXForwardedProto);
  if (config.append_x_forwarded_port && !headers.has(HeaderId::kXForwardedPort)) {
    headers.add(HeaderId::kXForwardedPort, number_text(headers.arena(), connection.local.port()));
  }
}

void add_via(http::Headers& headers, std::string_view via) {
  if (via.empty()) return;
  const std::string_view before = joined(headers, HeaderId::kVia, ", ");
  headers.set(HeaderId::kVia,
              before.empty() ? via : route::join(headers.arena(), {before, ", ", via}));
}

void set_request_id(http::RequestHead& head, const HcmConfig& config, Rng& rng) {
  if (!config.generate_request_id) return;
  const bool force = config.use_remote_address && !config.preserve_external_request_id;
  if (!force && head.headers.has(HeaderId::kXRequestId)) return;
  char* uuid = head.headers.arena().allocate_array<char>(kUuidBytes);
  write_uuid(uuid, rng);
  if (force) head.headers.remove(HeaderId::kXRequestId);
  head.headers.add(HeaderId::kXRequestId, {uuid, kUuidBytes});
}

}  // namespace

void prepare_request(http::RequestHead& head, const HcmConfig& config,
                     const ConnectionInfo& connection, Rng& rng) {
  strip_control_fields(head.headers, config.use_remote_address);
  normalize_host(head, config, connection);
  add_forwarded(head, config, connection);
  set_request_id(head, config, rng);
  set_client_cert_header(head.headers, config, connection);
  add_via(head.headers, config.via);
}

io::Address forwarded_client(http::Headers& headers, const HcmConfig& config) {
  if (config.use_remote_address && config.xff_num_trusted_hops == 0) return {};
  std::string_view list = joined(headers, HeaderId::kXForwardedFor, ",");
  // Counted from the right: the nearest proxy wrote last.
  const uint32_t skipped =
      config.use_remote_address ? config.xff_num_trusted_hops - 1 : config.xff_num_trusted_hops;
  for (uint32_t i = 0; i < skipped; ++i) {
    const size_t comma = list.rfind(',');
    if (comma == std::string_view::npos) return {};
    list = list.substr(0, comma);
  }
  const size_t comma = list.rfind(',');
  const std::string_view text =
      trim(comma == std::string_view::npos ? list : list.substr(comma + 1));
  if (text.empty()) return {};
  const Result<io::Address> address = io::Address::parse_ip(text, 0);
  return address ? *address : io::Address{};
}

bool apply_underscores(http::Headers& headers, Underscores action, UnderscoreCounters counters) {
  if (action == Underscores::kAllow) return true;
  for (http::Field* f = headers.mutable_begin(); f != headers.end(); ++f) {
    // Known names have none.
    if (f->id != HeaderId::kUnknown || f->name.find('_') == std::string_view::npos) continue;
    if (action == Underscores::kReject) {
      counters.rejected.inc();
      return false;
    }
    counters.dropped.inc();
    f->id = HeaderId::kRemoved;
  }
  return true;
}

void prepare_response(http::ResponseHead& head, const HcmConfig& config,
                      std::string_view request_id, std::string_view date) {
  http::Headers& headers = head.headers;
  switch (config.server_header) {
    case ServerHeader::kOverwrite:
      headers.set(HeaderId::kServer, config.server_name);
      break;
    case ServerHeader::kAppendIfAbsent:
      if (!headers.has(HeaderId::kServer)) headers.add(HeaderId::kServer, config.server_name);
      break;
    case ServerHeader::kPassThrough:
      break;
  }
  if (!headers.has(HeaderId::kDate) && head.status >= 200) headers.add(HeaderId::kDate, date);
  if (config.always_set_request_id_in_response && !request_id.empty()) {
    headers.set(HeaderId::kXRequestId, request_id);
  }
  add_via(headers, config.via);
}

}  // namespace pillion::core
