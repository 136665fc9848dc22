#include "proxy/cli/capture.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "proxy/cli/capture_failure.h"
#include "proxy/cli/capture_loopback.h"
#include "proxy/cli/capture_process.h"

namespace pillion::cli {
namespace {

// Runs a tool by name; its failure, as one line, is the error.
Status<> run_tool(const std::string& name, std::vector<std::string> arguments,
                  std::string_view input) {
  std::string path = find_program(name);
  if (path.empty()) return Error{name + " is not installed"};
  arguments.insert(arguments.begin(), path);
  auto outcome = run_program(arguments, input);
  if (!outcome) return Error{outcome.error()};
  if (outcome->exit_code != 0) return Error{explain_capture_failure(name, outcome->output)};
  return Ok{};
}

Status<> run_nft(std::string_view script) { return run_tool("nft", {"-f", "-"}, script); }

// -w: waits for the lock of another iptables instead of failing.
Status<> edit_nat(const std::string& iptables, std::vector<std::string> arguments) {
  static const std::vector<std::string> kNatTable = {"-w", "-t", "nat"};
  arguments.insert(arguments.begin(), kNatTable.begin(), kNatTable.end());
  return run_tool(iptables, std::move(arguments), {});
}

struct Hook {
  const char* from;
  const char* to;
};
constexpr Hook kHooks[] = {{"PREROUTING", "PILLION_INBOUND"}, {"OUTPUT", "PILLION_OUTPUT"}};

bool all_hooked(const std::string& iptables) {
  for (const Hook& hook : kHooks) {
    if (!edit_nat(iptables, {"-C", hook.from, "-p", "tcp", "-j", hook.to})) return false;
  }
  return true;
}

void unhook(const std::string& iptables) {
  for (const Hook& hook : kHooks) {
    while (edit_nat(iptables, {"-D", hook.from, "-p", "tcp", "-j", hook.to})) {
    }
  }
}

Status<> apply_iptables(const CaptureOptions& options, IpFamily family) {
  const bool v4 = family == IpFamily::kIpv4;
  const std::string iptables = v4 ? "iptables" : "ip6tables";
  const bool hooked = all_hooked(iptables);
  if (!hooked) unhook(iptables);  // one of two would become two of one
  return run_tool(iptables + "-restore", {"-w", "--noflush"},
                  capture_iptables_rules(options, family, !hooked));
}

Status<> remove_iptables(IpFamily family) {
  const std::string iptables = family == IpFamily::kIpv4 ? "iptables" : "ip6tables";
  if (auto readable = edit_nat(iptables, {"-L", "OUTPUT", "-n"}); !readable) return readable;
  unhook(iptables);
  for (const Hook& hook : kHooks) {
    if (!edit_nat(iptables, {"-F", hook.to})) continue;  // no such chain: nothing to take away
    if (auto removed = edit_nat(iptables, {"-X", hook.to}); !removed) return removed;
  }
  return Ok{};
}

bool has_ipv6() { return access("/proc/net/if_inet6", F_OK) == 0; }

Status<> run_iptables(CaptureVerb verb, const CaptureOptions& options) {
  for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
    if (family == IpFamily::kIpv6 && !has_ipv6()) continue;
    auto done =
        verb == CaptureVerb::kApply ? apply_iptables(options, family) : remove_iptables(family);
    if (!done) return done;
  }
  return Ok{};
}

Result<CaptureTool> choose_tool(CaptureTool wanted) {
  const bool has_nft = !find_program("nft").empty();
  const bool has_iptables = !find_program("iptables").empty();
  if (wanted == CaptureTool::kNft && !has_nft) return Error{"nft is not installed"};
  if (wanted == CaptureTool::kIptables && !has_iptables) return Error{"iptables is not installed"};
  if (wanted != CaptureTool::kAuto) return wanted;
  if (has_nft) return CaptureTool::kNft;
  if (has_iptables) return CaptureTool::kIptables;
  return Error{"neither nft nor iptables is installed (Debian: apt-get install nftables)"};
}

int print_rules(const CaptureOptions& options) {
  if (options.tool != CaptureTool::kIptables) {
    fputs(capture_rules(options).c_str(), stdout);
    return 0;
  }
  for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
    fprintf(stdout, "# %s-restore\n", family == IpFamily::kIpv4 ? "iptables" : "ip6tables");
    fputs(capture_iptables_rules(options, family, true).c_str(), stdout);
  }
  return 0;
}

int fail(const std::string& why) {
  fprintf(stderr, "pillion capture: %s\n", why.c_str());
  return 1;
}

}  // namespace

int run_capture(CaptureVerb verb, const CaptureOptions& options) {
  if (auto checked = check_capture_options(options); !checked) return fail(checked.error());
  if (verb == CaptureVerb::kPrint) return print_rules(options);

  auto tool = choose_tool(options.tool);
  if (!tool) return fail(tool.error());
  auto done = *tool == CaptureTool::kIptables ? run_iptables(verb, options)
              : verb == CaptureVerb::kApply   ? run_nft(capture_rules(options))
                                              : run_nft(capture_removal());
  // After the rules: what is missing for both is said of them.
  if (done) done = verb == CaptureVerb::kApply ? add_last_hop_address() : remove_last_hop_address();
  return done ? 0 : fail(done.error());
}

}  // namespace pillion::cli
