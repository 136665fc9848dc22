// The flags of `pillion capture`; what it does is in capture.h.
#include <memory>

#include "proxy/cli/capture.h"
#include "proxy/cli/commands.h"
#include "proxy/cli/parse.h"

namespace pillion::cli {
namespace {

// "15000,15001"; an empty text is no port.
Result<std::vector<uint16_t>> parse_ports(std::string_view text) {
  std::vector<uint16_t> ports;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const auto port = parse_number(text.substr(0, comma), 1, 65535);
    if (!port) return Error{"ports from 1 to 65535 with commas between"};
    ports.push_back(static_cast<uint16_t>(*port));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return ports;
}

Result<CaptureTool> parse_tool(std::string_view text) {
  if (text == "auto") return CaptureTool::kAuto;
  if (text == "nft") return CaptureTool::kNft;
  if (text == "iptables") return CaptureTool::kIptables;
  return Error{"auto, nft or iptables"};
}

struct Verb {
  const char* name;
  const char* help;
  CaptureVerb verb;
};
constexpr Verb kVerbs[] = {
    {"apply", "Sets the rules; those of an earlier apply are replaced.", CaptureVerb::kApply},
    {"remove", "Takes the rules away.", CaptureVerb::kRemove},
    {"print", "Shows the rules that apply would set; needs no permission.", CaptureVerb::kPrint}};

}  // namespace

void add_capture(CLI::App& root, Command& command) {
  CLI::App* capture = root.add_subcommand(
      "capture", "Sends a pod's TCP through its sidecar, in the network namespace it runs in.");
  capture->require_subcommand(1);
  auto options = std::make_shared<CaptureOptions>();
  for (const Verb& each : kVerbs) {
    CLI::App* app = capture->add_subcommand(each.name, each.help);
    add_parsed(*app, "--tool", options->tool,
               "what sets the rules (default: nft if it is installed, else iptables)", parse_tool)
        ->type_name("auto|nft|iptables");
    if (each.verb != CaptureVerb::kRemove) {
      add_number(*app, "--uid", options->uid,
                 "whom the sidecar runs as; left alone (default: 1337)");
      add_number(*app, "--inbound-port", options->inbound_port,
                 "where connections from outside go (default: 15006)", 1, 65535);
      add_number(*app, "--outbound-port", options->outbound_port,
                 "where connections of the app go (default: 15001)", 1, 65535);
      add_parsed(*app, "--own-ports", options->own_ports,
                 "never redirected when called from outside (default: "
                 "15000,15001,15006,15020,15021,15090)",
                 parse_ports)
          ->type_name("LIST");
    }
    app->callback([&command, options, verb = each.verb] {
      command.action = [options, verb] { return run_capture(verb, *options); };
    });
  }
}

}  // namespace pillion::cli
