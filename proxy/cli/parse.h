#pragma once
// What CLI11 lacks: errors of one line that say "did you mean", and values read by our own parsers.
// Includes CLI11: for .cc files of cli/ only.

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"

namespace pillion::cli {

// Why there is nothing to run: help was asked for (exit code 0), or the command line is wrong (2).
struct Ending {
  int exit_code = 0;
  std::string text;  // with its line end
};
std::optional<Ending> parse(CLI::App& app, const std::vector<std::string>& arguments);

// A flag whose value `parse_text` reads.  The error says what was expected; "got" is added here.
template <typename T, typename Parse>
CLI::Option* add_parsed(CLI::App& app, const std::string& names, T& target, const std::string& help,
                        Parse parse_text) {
  auto check = [parse_text](const std::string& text) {
    const auto value = parse_text(text);
    return value ? std::string()
                 : str("expected ", value.error(), ", got \"", config::printable(text), '"');
  };
  auto store = [parse_text, &target](const std::string& text) { target = *parse_text(text); };
  return app.add_option_function<std::string>(names, store, help)->check(check);
}

// A whole number from `least` to `most`, decimal.
Result<uint64_t> parse_number(std::string_view text, uint64_t least, uint64_t most);

template <typename T>
CLI::Option* add_number(CLI::App& app, const std::string& names, T& target, const std::string& help,
                        uint64_t least = 0, uint64_t most = UINT32_MAX) {
  auto read = [least, most](std::string_view text) -> Result<T> {
    const auto number = parse_number(text, least, most);
    if (!number) return Error{number.error()};
    return static_cast<T>(*number);
  };
  return add_parsed(app, names, target, help, read)->type_name("N");
}

}  // namespace pillion::cli
