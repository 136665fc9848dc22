#include "proxy/cli/version.h"

#include <cstdio>

#include "proxy/base/version.h"
#include "proxy/cli/commands.h"
#include "proxy/cli/parse.h"
#include "proxy/config/version.h"
#include "proxy/http/version.h"
#include "proxy/io/version.h"
#include "proxy/match/version.h"
#include "proxy/stats/version.h"
#include "proxy/tls/version.h"
#include "xds/version.h"

namespace pillion::cli {
namespace {

#if defined(__clang__)
constexpr const char* kCompiler = "Clang " __clang_version__;
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

}  // namespace

std::string version_text() {
  struct Line {
    std::string_view name;
    std::string_view version;
  };
  const std::string protobuf = xds::protobuf_version();
  const Line lines[] = {{"libuv", io::uv_version()},
                        {"c-ares", io::cares_version()},
                        {"BoringSSL", tls::boringssl_version()},
                        {"yaml-cpp", config::yaml_cpp_version()},
                        {"RE2", match::re2_version()},
                        {"nghttp2", http::nghttp2_library_version()},
                        {"protobuf", protobuf},
                        {"prometheus-cpp", stats::prometheus_cpp_version()},
                        {"spdlog", spdlog_version()},
                        {"nlohmann-json", nlohmann_json_version()},
                        {"CLI11", CLI11_VERSION}};
  std::string text = str("pillion ", PILLION_VERSION, " (", PILLION_BUILD, ", ", kCompiler, ")\n");
  for (const Line& line : lines) {
    text += str("  ", line.name, std::string(16 - line.name.size(), ' '), line.version, '\n');
  }
  return text;
}

void add_version(CLI::App& root, Command& command) {
  CLI::App* app =
      root.add_subcommand("version", "Prints the versions of Pillion and of the libraries in it.");
  app->callback(
      [&command] { command.action = [] { return fputs(version_text().c_str(), stdout), 0; }; });
}

}  // namespace pillion::cli
