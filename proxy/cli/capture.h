#pragma once
// `pillion capture apply|remove|print`: sends a pod's TCP through its sidecar, by NAT rules in the
// network namespace that the command runs in.
//
//   from outside    ── prerouting ─▶ inbound_port    except to the sidecar's own ports
//   from the app    ── output ─────▶ outbound_port   except to loopback and to the pod itself
//   from the sidecar (its uid)                       left alone, or it would catch its own calls
//
// Calls to the pod's own address follow Istio (tools/istio-iptables, rules 9 to 12): the app's go
// straight to the app; the sidecar's (it balanced onto its own pod) go to inbound_port, for a peer
// there expects mutual TLS; the sidecar's connections bound to 127.0.0.6 or ::6 (which is put on
// the loopback interface for that) are its last hop to the app and pass.  The listener finds the
// address that was meant by SO_ORIGINAL_DST, IPv4 and IPv6.  A redirected outbound call arrives at
// 127.0.0.1 or ::1, a redirected inbound one at an address of the interface it came in by.

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/base/result.h"

namespace pillion::cli {

enum class CaptureVerb : uint8_t { kApply, kRemove, kPrint };

// kAuto: nft when it is installed, else iptables.  A removal uses what an apply would use.
enum class CaptureTool : uint8_t { kAuto, kNft, kIptables };

struct CaptureOptions {
  uint32_t uid = 1337;            // whom the sidecar runs as (Istio's number)
  uint16_t inbound_port = 15006;  // redirected inbound connections arrive here
  uint16_t outbound_port = 15001;
  // Never redirected when called from outside: admin, the two above, Istio's agent and health
  // ports, metrics.  At most 15 (a limit of iptables' multiport).
  std::vector<uint16_t> own_ports = {15000, 15001, 15006, 15020, 15021, 15090};
  CaptureTool tool = CaptureTool::kAuto;
};

enum class IpFamily : uint8_t { kIpv4, kIpv6 };

// Why these options cannot become rules: one line, naming the option; else success.
Status<> check_capture_options(const CaptureOptions& options);

// The script for `nft -f -`.  One transaction: replaces the whole table `inet pillion`, so that
// applying twice leaves one set.  Pure; options must have passed check_capture_options.
std::string capture_rules(const CaptureOptions& options);
// The script that takes the table away; succeeds also when there is none.
std::string capture_removal();

// The same rules for `iptables-restore --noflush` (ip6tables-restore for IPv6), in the chains
// PILLION_INBOUND and PILLION_OUTPUT of table nat, which are flushed first.  with_jumps: also hook
// them into PREROUTING and OUTPUT; false when the hooks are there, for restore would add a second.
std::string capture_iptables_rules(const CaptureOptions& options, IpFamily family, bool with_jumps);

// Does it, and returns the exit status: 0, or 1 after one line on standard error that says what is
// missing.  kPrint only writes the script to standard output and needs no permission.
int run_capture(CaptureVerb verb, const CaptureOptions& options);

}  // namespace pillion::cli
