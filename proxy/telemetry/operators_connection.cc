// Operators that look at connections: addresses, server name.
#include <algorithm>
#include <charconv>
#include <cstring>

#include "proxy/base/str.h"
#include "proxy/telemetry/operators.h"

namespace pillion::telemetry {
namespace {

using core::ConnectionInfo;
using core::StreamInfo;
using io::Address;

// --- Addresses
// ------------------------------------------------------------------------------------

using Pick = const Address* (*)(const StreamInfo&);

template <Address ConnectionInfo::* kMember>
const Address* downstream(const StreamInfo& info) {
  return info.connection == nullptr ? nullptr : &(info.connection->*kMember);
}
template <const Address& (ConnectionInfo::*kGet)() const noexcept>
const Address* downstream(const StreamInfo& info) {
  return info.connection == nullptr ? nullptr : &(info.connection->*kGet)();
}
template <Address core::UpstreamInfo::* kMember>
const Address* upstream(const StreamInfo& info) {
  return &(info.upstream.*kMember);
}
constexpr Pick kRemote = downstream<&ConnectionInfo::remote>;
constexpr Pick kLocal = downstream<&ConnectionInfo::local>;
constexpr Pick kDirectRemote = downstream<&ConnectionInfo::direct_remote>;
constexpr Pick kDirectLocal = downstream<&ConnectionInfo::direct_local>;
constexpr Pick kUpstreamRemote = upstream<&core::UpstreamInfo::remote>;
constexpr Pick kUpstreamLocal = upstream<&core::UpstreamInfo::local>;

static_assert(Scratch::kBytes >= Address::kMaxText + 8);

Value text_of(const Address& address, bool with_port, Scratch& scratch) {
  return std::string_view(scratch.bytes, address.format(scratch.bytes, with_port));
}

bool exists(const Address* address) {
  return address != nullptr && address->kind() != Address::Kind::kNone;
}

template <Pick kPick>
Value with_port(const Operation&, const StreamInfo& info, Scratch& scratch) {
  const Address* address = kPick(info);
  return exists(address) ? text_of(*address, true, scratch) : Value();
}

// The network of so many bits, as "10.1.0.0/16".
Value masked(const Address& address, uint32_t bits, Scratch& scratch) {
  const bool v4 = address.kind() == Address::Kind::kIpv4;
  bits = std::min(bits, v4 ? 32u : 128u);
  uint8_t bytes[16] = {};
  std::memcpy(bytes, address.ip_bytes(), v4 ? 4 : 16);
  for (uint32_t i = 0; i < 16; ++i) {
    const uint32_t kept = bits <= 8 * i ? 0 : std::min(bits - 8 * i, 8u);
    bytes[i] = static_cast<uint8_t>(bytes[i] & (0xff00 >> kept));
  }
  const uint32_t word =
      uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
  const Address network = v4 ? Address::ipv4(word, 0) : Address::ipv6(bytes, 0);
  char* end = scratch.bytes + network.format(scratch.bytes, false);
  *end++ = '/';
  end = std::to_chars(end, end + 4, bits).ptr;
  return std::string_view(scratch.bytes, static_cast<size_t>(end - scratch.bytes));
}

constexpr uint32_t kNoMask = UINT32_MAX;

template <Pick kPick>
Value without_port(const Operation& op, const StreamInfo& info, Scratch& scratch) {
  const Address* address = kPick(info);
  if (!exists(address)) return {};
  return op.mode == kNoMask || !address->is_ip() ? text_of(*address, false, scratch)
                                                 : masked(*address, op.mode, scratch);
}

Status<> compile_mask(std::string_view arguments, Operation& op) {
  op.mode = kNoMask;
  if (arguments.empty()) return Ok{};
  uint32_t bits = 0;
  const auto end = std::from_chars(arguments.data(), arguments.data() + arguments.size(), bits);
  if (end.ec != std::errc() || end.ptr != arguments.data() + arguments.size() || bits > 128) {
    return Error{str("expected a prefix length of 0-128, got \"", arguments, "\"")};
  }
  op.mode = bits;
  return Ok{};
}

template <Pick kPick>
Value port(const Operation&, const StreamInfo& info, Scratch&) {
  const Address* address = kPick(info);
  return exists(address) && address->is_ip() ? Value::number_of(address->port()) : Value();
}

// The endpoint's name, else its address.
template <bool kWithPort>
Value host_name(const Operation&, const StreamInfo& info, Scratch& scratch) {
  const core::UpstreamInfo& up = info.upstream;
  if (up.host_name.empty())
    return exists(&up.remote) ? text_of(up.remote, kWithPort, scratch) : Value();
  const size_t colon = up.host_name.rfind(':');
  return kWithPort || colon == std::string_view::npos ? up.host_name
                                                      : up.host_name.substr(0, colon);
}

// --- Names
// ----------------------------------------------------------------------------------------

Value connection_id(const Operation&, const StreamInfo& info, Scratch&) {
  return Value::number_of(info.connection == nullptr ? 0
                                                     : static_cast<int64_t>(info.connection->id));
}
Value upstream_connection_id(const Operation&, const StreamInfo& info, Scratch&) {
  return Value::number_of(static_cast<int64_t>(info.upstream.connection_id));
}
Value filter_chain(const Operation&, const StreamInfo& info, Scratch&) {
  return info.connection == nullptr ? Value()
                                    : Value::text_or_none(info.connection->filter_chain_name());
}

// Texts that stand in a line of words: blanks become '_', as in Envoy.
Value one_word(std::string_view text, Scratch& scratch) {
  if (text.find_first_of(" \t") == std::string_view::npos) return Value::text_or_none(text);
  const size_t size = std::min(text.size(), Scratch::kBytes);
  for (size_t i = 0; i < size; ++i)
    scratch.bytes[i] = text[i] == ' ' || text[i] == '\t' ? '_' : text[i];
  return std::string_view(scratch.bytes, size);
}
Value downstream_failure(const Operation&, const StreamInfo& info, Scratch& scratch) {
  return one_word(info.downstream_transport_failure, scratch);
}
Value upstream_failure(const Operation&, const StreamInfo& info, Scratch& scratch) {
  return one_word(info.upstream.transport_failure, scratch);
}

// --- The name that was asked for
// ------------------------------------------------------------------

enum NameMode : uint32_t {
  kSniOnly,
  kSniFirst,
  kHostFirst,
  kSources = 3,
  kHostOnly = 4,
  kOriginalOnly = 8
};

// SNI_ONLY, SNI_FIRST or HOST_FIRST, then after a colon ORIG, HOST or ORIG_OR_HOST.
Status<> compile_server_name(std::string_view arguments, Operation& op) {
  const size_t colon = std::min(arguments.find(':'), arguments.size());
  const std::string_view order = arguments.substr(0, colon);
  const std::string_view host = arguments.substr(std::min(colon + 1, arguments.size()));
  if (order == "SNI_FIRST") {
    op.mode = kSniFirst;
  } else if (order == "HOST_FIRST") {
    op.mode = kHostFirst;
  } else if (!order.empty() && order != "SNI_ONLY") {
    return Error{str("expected SNI_ONLY, SNI_FIRST or HOST_FIRST, got \"", order, "\"")};
  }
  if (host == "HOST") {
    op.mode |= kHostOnly;
  } else if (host == "ORIG") {
    op.mode |= kOriginalOnly;
  } else if (!host.empty() && host != "ORIG_OR_HOST") {
    return Error{str("expected ORIG, HOST or ORIG_OR_HOST, got \"", host, "\"")};
  }
  return Ok{};
}

std::string_view requested_host(const Operation& op, const StreamInfo& info) {
  if (info.request == nullptr) return {};
  std::string_view name;
  if ((op.mode & kHostOnly) == 0)
    name = info.request->headers.get(http::HeaderId::kXEnvoyOriginalHost);
  if (name.empty() && (op.mode & kOriginalOnly) == 0) name = info.request->authority;
  return name;
}

Value server_name(const Operation& op, const StreamInfo& info, Scratch&) {
  const std::string_view sni =
      info.connection == nullptr ? std::string_view() : info.connection->sni();
  switch (op.mode & kSources) {
    case kSniFirst:
      return Value::text_or_none(sni.empty() ? requested_host(op, info) : sni);
    case kHostFirst: {
      const std::string_view host = requested_host(op, info);
      return Value::text_or_none(host.empty() ? sni : host);
    }
    default:
      return Value::text_or_none(sni);
  }
}

constexpr OperatorRow kRows[] = {
    {"DOWNSTREAM_REMOTE_ADDRESS", with_port<kRemote>},
    {"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", without_port<kRemote>, Arguments::kOptional,
     compile_mask},
    {"DOWNSTREAM_REMOTE_PORT", port<kRemote>},
    {"DOWNSTREAM_LOCAL_ADDRESS", with_port<kLocal>},
    {"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", without_port<kLocal>, Arguments::kOptional,
     compile_mask},
    {"DOWNSTREAM_LOCAL_PORT", port<kLocal>},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS", with_port<kDirectRemote>},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", without_port<kDirectRemote>,
     Arguments::kOptional, compile_mask},
    {"DOWNSTREAM_DIRECT_REMOTE_PORT", port<kDirectRemote>},
    {"DOWNSTREAM_DIRECT_LOCAL_ADDRESS", with_port<kDirectLocal>},
    {"DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT", without_port<kDirectLocal>,
     Arguments::kOptional, compile_mask},
    {"DOWNSTREAM_DIRECT_LOCAL_PORT", port<kDirectLocal>},
    {"UPSTREAM_HOST", with_port<kUpstreamRemote>},
    {"UPSTREAM_REMOTE_ADDRESS", with_port<kUpstreamRemote>},
    {"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", without_port<kUpstreamRemote>, Arguments::kOptional,
     compile_mask},
    {"UPSTREAM_REMOTE_PORT", port<kUpstreamRemote>},
    {"UPSTREAM_LOCAL_ADDRESS", with_port<kUpstreamLocal>},
    {"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", without_port<kUpstreamLocal>, Arguments::kOptional,
     compile_mask},
    {"UPSTREAM_LOCAL_PORT", port<kUpstreamLocal>},
    {"UPSTREAM_HOST_NAME", host_name<true>},
    {"UPSTREAM_HOST_NAME_WITHOUT_PORT", host_name<false>},
    {"CONNECTION_ID", connection_id},
    {"UPSTREAM_CONNECTION_ID", upstream_connection_id},
    {"FILTER_CHAIN_NAME", filter_chain},
    {"REQUESTED_SERVER_NAME", server_name, Arguments::kOptional, compile_server_name},
    {"DOWNSTREAM_TRANSPORT_FAILURE_REASON", downstream_failure},
    {"UPSTREAM_TRANSPORT_FAILURE_REASON", upstream_failure},
};

}  // namespace

std::span<const OperatorRow> connection_operators() { return kRows; }

}  // namespace pillion::telemetry
