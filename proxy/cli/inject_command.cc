// The flags of `pillion inject`; what it does is in inject.h.
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>

#include "proxy/cli/ca_files.h"
#include "proxy/cli/commands.h"
#include "proxy/cli/inject.h"
#include "proxy/cli/parse.h"

namespace pillion::cli {
namespace {

struct InjectFlags {
  std::string file = "-";
  InjectOptions options;
};

int run_inject(const InjectFlags& flags) {
  using config::Severity;
  std::string text;
  if (flags.file == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else if (auto read = read_file(flags.file)) {
    text = std::move(*read);
  } else {
    fprintf(stderr, "pillion inject: %s\n", read.error().c_str());
    return 1;
  }
  config::Errors errors;
  const std::string out =
      inject(text, flags.file == "-" ? "stdin" : flags.file, flags.options, errors);
  fputs(errors.to_string(Severity::kError).c_str(), stderr);
  fputs(errors.to_string(Severity::kWarning).c_str(), stderr);
  if (!errors.ok()) return 1;
  const bool is_written = fwrite(out.data(), 1, out.size(), stdout) == out.size();
  if (is_written && fflush(stdout) == 0) return 0;
  fputs("pillion inject: cannot write to standard output\n", stderr);
  return 1;
}

Result<std::string> parse_name(std::string_view text) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  if (text.empty() || text.size() > 253 || !std::all_of(text.begin(), text.end(), is_allowed)) {
    return Error{"a name of a Kubernetes object"};
  }
  return std::string(text);
}

// A rough look: the API server knows better, but it must not be YAML of another meaning.
Result<std::string> parse_quantity(std::string_view text) {
  const size_t digits = text.find_first_not_of("0123456789.");
  const std::string_view unit = digits == text.npos ? "" : text.substr(digits);
  const bool is_unit = unit.empty() || std::all_of(unit.begin(), unit.end(), [](char c) {
                         return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
                       });
  if (digits == 0 || text.empty() || !is_unit) return Error{"a quantity such as 100m or 64Mi"};
  return std::string(text);
}

Result<std::string> parse_image(std::string_view text) {
  if (text.empty() || text.find_first_of(" \t\n") != text.npos)
    return Error{"the name of an image"};
  return std::string(text);
}

void add_resources(CLI::App& app, InjectOptions& options) {
  add_parsed(app, "--cpu-request", options.cpu_request, "of each container (default: 10m)",
             parse_quantity)
      ->type_name("QUANTITY");
  add_parsed(app, "--cpu-limit", options.cpu_limit, "(default: none, then two workers)",
             parse_quantity)
      ->type_name("QUANTITY");
  add_parsed(app, "--memory-request", options.memory_request, "(default: 32Mi)", parse_quantity)
      ->type_name("QUANTITY");
  add_parsed(app, "--memory-limit", options.memory_limit, "(default: 128Mi)", parse_quantity)
      ->type_name("QUANTITY");
}

}  // namespace

void add_inject(CLI::App& root, Command& command) {
  CLI::App* app =
      root.add_subcommand("inject", "Puts a sidecar into the pods of Kubernetes manifests.");
  auto flags = std::make_shared<InjectFlags>();
  InjectOptions& options = flags->options;
  app->add_option("-f,--filename", flags->file, "manifests; - is standard input (default)")
      ->type_name("FILE");
  add_parsed(*app, "--image", options.image, "of Pillion (default: pillion:dev)", parse_image)
      ->type_name("IMAGE");
  add_parsed(*app, "--config-map", options.config_map,
             "with the sidecar's mesh.yaml (default: pillion-WORKLOAD)", parse_name)
      ->type_name("NAME");
  add_parsed(*app, "--certificates", options.certificates,
             "Secret with tls.crt, tls.key, ca.crt (default: pillion-SERVICEACCOUNT)", parse_name)
      ->type_name("NAME");
  add_number(*app, "--uid", options.uid, "whom the sidecar runs as (default: 1337)", 1);
  app->add_flag("--native-sidecar,!--no-native-sidecar", options.native_sidecar,
                "an init container that stays; false for Kubernetes before 1.29 (default: true)");
  add_resources(*app, options);
  app->callback([&command, flags] { command.action = [flags] { return run_inject(*flags); }; });
}

}  // namespace pillion::cli
