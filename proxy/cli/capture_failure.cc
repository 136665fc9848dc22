#include "proxy/cli/capture_failure.h"

namespace pillion::cli {
namespace {

struct Cause {
  std::string_view said;  // a part of the tool's output
  std::string_view means;
};

// First match wins.
constexpr Cause kCauses[] = {
    {"Operation not permitted", "no permission (run as root, or with CAP_NET_ADMIN)"},
    {"Permission denied", "no permission (run as root, or with CAP_NET_ADMIN)"},
    {"you must be root", "no permission (run as root, or with CAP_NET_ADMIN)"},
    {"Protocol not supported", "this kernel has no nftables (is nf_tables loaded?)"},
    {"initialize Netlink socket", "this kernel has no nftables (is nf_tables loaded?)"},
    {"can't initialize iptables table", "this kernel has no NAT table (is iptable_nat loaded?)"},
    {"No such file or directory",
     "this kernel lacks NAT (are nft_chain_nat and nft_redir loaded?)"},
    {"not supported", "this kernel lacks NAT for inet tables (Linux 5.2 or later is needed)"},
};

// The first line that says something, without the place inside our own script.
std::string first_line(std::string_view output) {
  while (output.starts_with('\n')) output.remove_prefix(1);
  std::string_view line = output.substr(0, output.find('\n'));
  if (size_t at = line.find("Error: "); at != std::string_view::npos) line.remove_prefix(at + 7);
  return std::string{line};
}

}  // namespace

std::string explain_capture_failure(std::string_view program, std::string_view output) {
  std::string said = first_line(output);
  for (const Cause& cause : kCauses) {
    if (output.find(cause.said) == std::string_view::npos) continue;
    return std::string{cause.means} + "; " + std::string{program} + " said: " + said;
  }
  if (said.empty()) return std::string{program} + " failed without a word";
  return std::string{program} + " failed: " + said;
}

}  // namespace pillion::cli
