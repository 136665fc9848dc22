#include "proxy/cli/inject.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "proxy/base/str.h"

namespace pillion::cli {
namespace {

namespace fs = std::filesystem;

const fs::path kData = fs::path(PILLION_SOURCE_DIR) / "tests/data/inject";

std::string read(const fs::path& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in) << path;
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<fs::path> files_of(const fs::path& folder, const std::string& ending) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ending) out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  EXPECT_FALSE(out.empty()) << folder;
  return out;
}

// With no error.
std::string injected(std::string_view text, const InjectOptions& options = {}) {
  config::Errors errors;
  std::string out = inject(text, "input", options, errors);
  EXPECT_TRUE(errors.ok()) << errors.to_string();
  return out;
}

std::string errors_of(std::string_view text, const InjectOptions& options = {}) {
  config::Errors errors;
  inject(text, "input", options, errors);
  return errors.to_string();
}

constexpr std::string_view kPod =
    "apiVersion: v1\nkind: Pod\nmetadata: { name: web }\n"
    "spec: { containers: [ { name: web, image: web } ] }\n";

TEST(Inject, GivesWhatTheGoldenFilesSay) {
  for (const fs::path& file : files_of(kData / "good", ".yaml")) {
    SCOPED_TRACE(file);
    EXPECT_EQ(injected(read(file)), read(fs::path(file).replace_extension(".injected")));
  }
}

TEST(Inject, ChangesNothingTheSecondTime) {
  for (const fs::path& file : files_of(kData / "good", ".yaml")) {
    SCOPED_TRACE(file);
    const std::string once = injected(read(file));
    EXPECT_EQ(injected(once), once);
  }
}

TEST(Inject, SaysWhatForbidsASidecarAtItsPlace) {
  for (const fs::path& file : files_of(kData / "bad", ".yaml")) {
    SCOPED_TRACE(file);
    const std::string text = read(file);
    std::string expected;
    std::stringstream lines(text);
    constexpr std::string_view kExpect = "# expect: ";
    for (std::string line; std::getline(lines, line) && line.starts_with(kExpect);) {
      expected += line.substr(kExpect.size()) + "\n";
    }
    config::Errors errors;
    inject(text, file.filename(), {}, errors);
    EXPECT_EQ(errors.to_string(), expected);
  }
}

TEST(Inject, PassesOnWhatIsNoWorkloadByteForByte) {
  for (const std::string text : {
           "# only a comment\n",
           "---\n---\n# c\n---\n",
           "{\"kind\":\"Service\",  \"apiVersion\":\"v1\"}",
           "%YAML 1.2\n---\nkind:   Service # c\n",
           "kind: Service\r\nmetadata: {}\r\n---\r\nkind: Secret\r\n",
           "data: |\n  ---\n  kind: Pod\nother: 1\n",
       }) {
    EXPECT_EQ(injected(text), text);
  }
}

TEST(Inject, CountsLinesThroughAllDocuments) {
  const std::string text = str("kind: Service\n---\n", kPod, "---\n", kPod, "  # end\n---\n{\n");
  EXPECT_EQ(errors_of(text).substr(0, 10), "input:14:1") << errors_of(text);
}

TEST(Inject, PutsTheSidecarBesideTheAppOnOldClusters) {
  InjectOptions options;
  options.native_sidecar = false;
  const std::string out = injected(kPod, options);
  const size_t init = out.find("initContainers:"), app = out.find("containers:\n  - name: web");
  const size_t capture = out.find("name: pillion-capture"), sidecar = out.find("name: pillion\n");
  EXPECT_LT(init, capture) << out;
  EXPECT_LT(app, sidecar);
  EXPECT_EQ(out.find("restartPolicy"), out.npos);
  EXPECT_EQ(injected(out, options), out);
}

TEST(Inject, RefusesAJobWhoseSidecarWouldNeverEnd) {
  InjectOptions options;
  options.native_sidecar = false;
  const std::string_view job =
      "apiVersion: batch/v1\nkind: Job\nmetadata: { name: once }\n"
      "spec: { template: { spec: { containers: [ { name: once } ] } } }\n";
  EXPECT_EQ(errors_of(job, options),
            "input:2:7: kind: would never complete with --native-sidecar=false: the sidecar does "
            "not end with the app\n");
}

TEST(Inject, TakesNamesAndResourcesFromTheOptions) {
  InjectOptions options;
  options.image = "mirror/pillion:2";
  options.config_map = "shared";
  options.certificates = "mine";
  options.uid = 2000;
  options.cpu_limit = "2";
  const std::string out = injected(kPod, options);
  for (const char* part : {"image: mirror/pillion:2", "name: shared", "secretName: mine",
                           "- \"2000\"", "runAsUser: 2000", "cpu: \"2\""}) {
    EXPECT_NE(out.find(part), out.npos) << part << '\n' << out;
  }
}

TEST(Inject, WarnsOfAProbeThatReachesOnlyTheSidecar) {
  config::Errors errors;
  inject(
      "apiVersion: v1\nkind: Pod\nmetadata: { name: web }\nspec:\n  containers:\n  - name: web\n"
      "    livenessProbe: { tcpSocket: { port: 80 } }\n",
      "input", {}, errors);
  EXPECT_TRUE(errors.ok());
  EXPECT_EQ(errors.to_string(config::Severity::kWarning),
            "input:7:33: spec.containers[0].livenessProbe.tcpSocket: warning: reaches the sidecar, "
            "not the app, and so always succeeds: use httpGet, which the sidecar passes on, or "
            "exec\n");
}

TEST(Inject, RefusesDocumentsThatOnlyThreeDotsSeparate) {
  EXPECT_NE(errors_of("a: 1\n...\nb: 2\n"), "");
}

}  // namespace
}  // namespace pillion::cli
