#include <algorithm>
#include <string_view>

#include "proxy/cli/capture.h"

namespace pillion::cli {
namespace {

constexpr size_t kMultiportLimit = 15;

std::string join_ports(const std::vector<uint16_t>& ports, std::string_view separator) {
  std::string text;
  for (uint16_t port : ports) {
    if (!text.empty()) text += separator;
    text += std::to_string(port);
  }
  return text;
}

// Puts values in the places of @uid @in @out @own of a template, so that the rules below read as
// they will run.
std::string fill(std::string_view text, const CaptureOptions& options, std::string_view own_ports) {
  std::string filled;
  while (!text.empty()) {
    size_t at = text.find('@');
    filled += text.substr(0, at);
    if (at == std::string_view::npos) break;
    text.remove_prefix(at + 1);
    auto replace = [&](std::string_view name, std::string_view value) {
      if (!text.starts_with(name)) return false;
      text.remove_prefix(name.size());
      filled += value;
      return true;
    };
    replace("uid", std::to_string(options.uid)) ||
        replace("in", std::to_string(options.inbound_port)) ||
        replace("out", std::to_string(options.outbound_port)) || replace("own", own_ports);
  }
  return filled;
}

// The first two lines make the third a replacement: `delete` alone fails when there is no table.
constexpr std::string_view kRemoval =
    "table inet pillion\n"
    "delete table inet pillion\n";

// Priorities are numbers (dstnat is not known by name to every nft for hook output).
constexpr std::string_view kInboundHead =
    "table inet pillion {\n"
    "  chain inbound {\n"
    "    type nat hook prerouting priority -100; policy accept;\n";
constexpr std::string_view kInboundOwnPorts = "    tcp dport { @own } accept\n";
constexpr std::string_view kInboundTail =
    "    meta l4proto tcp redirect to :@in\n"
    "  }\n"
    "  chain outbound {\n"
    "    type nat hook output priority -100; policy accept;\n"
    "    oifname \"lo\" ip saddr 127.0.0.6 accept comment \"sidecar to its app\"\n"
    "    oifname \"lo\" ip6 saddr ::6 accept comment \"sidecar to its app\"\n";
constexpr std::string_view kOwnPodPorts = "    oifname \"lo\" tcp dport { @own } accept\n";
constexpr std::string_view kOutbound =
    "    oifname \"lo\" meta skuid @uid ip daddr != 127.0.0.0/8 meta l4proto tcp redirect to :@in"
    " comment \"sidecar to its own pod\"\n"
    "    oifname \"lo\" meta skuid @uid ip6 daddr != ::1 meta l4proto tcp redirect to :@in"
    " comment \"sidecar to its own pod\"\n"
    "    meta skuid @uid accept comment \"the sidecar itself\"\n"
    "    oifname \"lo\" accept comment \"the app to its own pod\"\n"
    "    ip daddr 127.0.0.0/8 accept\n"
    "    ip6 daddr ::1 accept\n"
    "    meta l4proto tcp redirect to :@out\n"
    "  }\n"
    "}\n";

constexpr std::string_view kChains =
    "*nat\n"
    ":PILLION_INBOUND - [0:0]\n"
    ":PILLION_OUTPUT - [0:0]\n";
constexpr std::string_view kChainOwnPorts =
    "-A PILLION_INBOUND -p tcp -m multiport --dports @own -j RETURN\n";
constexpr std::string_view kChainInbound = "-A PILLION_INBOUND -p tcp -j REDIRECT --to-ports @in\n";
constexpr std::string_view kChainLastHop4 = "-A PILLION_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN\n";
constexpr std::string_view kChainLastHop6 = "-A PILLION_OUTPUT -o lo -s ::6/128 -j RETURN\n";
constexpr std::string_view kChainOwnPodPorts =
    "-A PILLION_OUTPUT -o lo -p tcp -m multiport --dports @own -j RETURN\n";
constexpr std::string_view kChainOwnPod4 =
    "-A PILLION_OUTPUT -o lo ! -d 127.0.0.0/8 -p tcp -m owner --uid-owner @uid"
    " -j REDIRECT --to-ports @in\n";
constexpr std::string_view kChainOwnPod6 =
    "-A PILLION_OUTPUT -o lo ! -d ::1/128 -p tcp -m owner --uid-owner @uid"
    " -j REDIRECT --to-ports @in\n";
constexpr std::string_view kChainOutbound =
    "-A PILLION_OUTPUT -m owner --uid-owner @uid -j RETURN\n"
    "-A PILLION_OUTPUT -o lo -j RETURN\n";
constexpr std::string_view kChainLoopback4 = "-A PILLION_OUTPUT -d 127.0.0.0/8 -j RETURN\n";
constexpr std::string_view kChainLoopback6 = "-A PILLION_OUTPUT -d ::1/128 -j RETURN\n";
constexpr std::string_view kChainRedirect =
    "-A PILLION_OUTPUT -p tcp -j REDIRECT --to-ports @out\n";
constexpr std::string_view kJumps =
    "-A PREROUTING -p tcp -j PILLION_INBOUND\n"
    "-A OUTPUT -p tcp -j PILLION_OUTPUT\n";

}  // namespace

Status<> check_capture_options(const CaptureOptions& options) {
  const auto& own = options.own_ports;
  if (options.inbound_port == 0) return Error{"the inbound port must be 1-65535"};
  if (options.outbound_port == 0) return Error{"the outbound port must be 1-65535"};
  if (options.inbound_port == options.outbound_port) {
    return Error{"the inbound and the outbound port must differ"};
  }
  if (options.uid == 0) {
    return Error{"the sidecar's uid must not be 0: everything that root sends would escape"};
  }
  if (std::find(own.begin(), own.end(), uint16_t{0}) != own.end()) {
    return Error{"a port of the sidecar must be 1-65535"};
  }
  if (own.size() > kMultiportLimit) return Error{"at most 15 ports of the sidecar can be named"};
  return Ok{};
}

std::string capture_rules(const CaptureOptions& options) {
  std::string text{kRemoval};
  text += kInboundHead;
  if (!options.own_ports.empty()) text += kInboundOwnPorts;
  text += kInboundTail;
  if (!options.own_ports.empty()) text += kOwnPodPorts;
  text += kOutbound;
  return fill(text, options, join_ports(options.own_ports, ", "));
}

std::string capture_removal() { return std::string{kRemoval}; }

std::string capture_iptables_rules(const CaptureOptions& options, IpFamily family,
                                   bool with_jumps) {
  const bool v4 = family == IpFamily::kIpv4;
  const bool has_own_ports = !options.own_ports.empty();
  std::string text{kChains};
  if (has_own_ports) text += kChainOwnPorts;
  text += kChainInbound;
  text += v4 ? kChainLastHop4 : kChainLastHop6;
  if (has_own_ports) text += kChainOwnPodPorts;
  text += v4 ? kChainOwnPod4 : kChainOwnPod6;
  text += kChainOutbound;
  text += v4 ? kChainLoopback4 : kChainLoopback6;
  text += kChainRedirect;
  if (with_jumps) text += kJumps;
  text += "COMMIT\n";
  return fill(text, options, join_ports(options.own_ports, ","));
}

}  // namespace pillion::cli
