#include "proxy/cli/parse.h"

#include <algorithm>

#include "proxy/config/scalars.h"

namespace pillion::cli {
namespace {

// The subcommand that was chosen, as deep as it goes.
CLI::App& chosen(CLI::App& app) {
  CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  return *at;
}

std::string full_name(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  return parent == nullptr ? app.get_name() : str(full_name(*parent), ' ', app.get_name());
}

std::vector<std::string> flags_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

std::vector<std::string> subcommands_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* each : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(each->get_name());
  }
  return names;
}

// What was given that nothing asked for.
std::string explain_extra(const CLI::App& app, const std::string& extra) {
  const bool is_flag = extra.size() > 1 && extra[0] == '-';
  const std::vector<std::string> known = is_flag ? flags_of(app) : subcommands_of(app);
  const std::string name = is_flag ? extra.substr(0, extra.find('=')) : extra;
  const char* kind = is_flag         ? "unknown flag"
                     : known.empty() ? "unexpected argument"
                                     : "unknown subcommand";
  const std::vector<std::string_view> candidates(known.begin(), known.end());
  return str(kind, " \"", config::printable(name), '"', config::did_you_mean(name, candidates));
}

}  // namespace

Result<uint64_t> parse_number(std::string_view text, uint64_t least, uint64_t most) {
  const auto number = config::parse_unsigned(text);
  if (number && *number >= least && *number <= most) return *number;
  return Error{most == UINT32_MAX && least == 0 ? std::string("a whole number")
                                                : str("a whole number from ", least, " to ", most)};
}

std::optional<Ending> parse(CLI::App& app, const std::vector<std::string>& arguments) {
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
  try {
    app.parse(reversed);
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    const CLI::App& wanted = chosen(app);
    const CLI::App* parent = wanted.get_parent();
    return Ending{0, wanted.help(parent == nullptr ? "" : full_name(*parent))};
  } catch (const CLI::ParseError& error) {
    CLI::App& wanted = chosen(app);
    const std::vector<std::string> extras = app.remaining(true);
    const std::string why = extras.empty() ? error.what() : explain_extra(wanted, extras.front());
    const std::string name = full_name(wanted);
    return Ending{2, str(name, ": ", why, "; see ", name, " --help\n")};
  }
}

}  // namespace pillion::cli
