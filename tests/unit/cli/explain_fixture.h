#pragma once
// Snapshots to be explained, and what an explanation says.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/builder/builder.h"
#include "proxy/cli/explain.h"

namespace pillion::cli {

inline const std::string kGood = PILLION_SOURCE_DIR "/tests/data/config/good/";

inline std::shared_ptr<const Snapshot> build(const Options& options) {
  config::Errors errors;
  auto snapshot = build_snapshot(options, {}, errors);
  EXPECT_NE(snapshot, nullptr) << errors.to_string();
  return snapshot;
}
inline std::shared_ptr<const Snapshot> from_file(const std::string& name) {
  Options options;
  options.config_path = kGood + name;
  return build(options);
}
inline std::shared_ptr<const Snapshot> from_text(const std::string& yaml) {
  Options options;
  options.config_yaml = yaml;
  return build(options);
}

inline ExplainRequest request(std::string_view text, const std::string& listener = {}) {
  auto parsed = parse_explain_request(text);
  EXPECT_TRUE(parsed.has_value()) << parsed.error();
  parsed->listener = listener;
  return *parsed;
}

inline std::vector<std::string> lines_of(const std::shared_ptr<const Snapshot>& snapshot,
                                         const ExplainRequest& request) {
  if (snapshot == nullptr) return {};
  auto lines = explain(*snapshot, request);
  EXPECT_TRUE(lines.has_value()) << lines.error();
  return lines ? *lines : std::vector<std::string>{};
}

}  // namespace pillion::cli
