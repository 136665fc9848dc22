#pragma once
// Configuration cases as files: tests/data/config/bad/<layer>/*.yaml (or .json) begin with one
// comment line per expected message,
//   # expect: tab.yaml:4:8: admin.listen: expected ...
// exactly as printed, the file's folder left out; good/ holds files that give none.  To add a case,
// add a file.
//
// Layers: text (the loader), short (the short mesh YAML), envoy (features; checked by the e2e test
// that runs `pillion check`), whole (short files of which the features complain; by the same).
// Whoever can see more passes another Validate.  $PWD in a message is the working directory.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "proxy/config/errors.h"

namespace pillion::config {

namespace fs = std::filesystem;

struct Case {
  fs::path path;
  std::string expected;  // all messages, one a line
};

// Records in Errors what is wrong with the file.
using Validate = std::function<void(const std::string& path, Errors& errors)>;

inline fs::path case_folder() { return fs::path(PILLION_SOURCE_DIR) / "tests/data/config"; }

// The cases of one folder and those below it, by name; fails the test if there is none.
inline std::vector<Case> read_cases(const fs::path& folder) {
  constexpr std::string_view kMarker = "# expect: ";
  std::vector<Case> cases;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    Case c{entry.path(), {}};
    std::ifstream file(c.path);
    for (std::string line; std::getline(file, line);) {
      const size_t at = line.find(kMarker);
      if (at == line.npos) break;
      if (line.ends_with('\r')) line.pop_back();
      c.expected += line.substr(at + kMarker.size()) + '\n';
    }
    cases.push_back(std::move(c));
  }
  std::sort(cases.begin(), cases.end(),
            [](const Case& a, const Case& b) { return a.path < b.path; });
  EXPECT_FALSE(cases.empty()) << folder;
  return cases;
}

// The messages that the file gives, with the folder left out of its name, and the working directory
// written as $PWD.
inline std::string messages_of(const Case& c, const Validate& validate) {
  Errors errors;
  validate(c.path.string(), errors);
  std::string text = errors.to_string();
  const auto replace = [&text](const std::string& what, std::string_view by) {
    for (size_t at = 0; (at = text.find(what, at)) != text.npos; at += by.size())
      text.replace(at, what.size(), by);
  };
  replace(c.path.parent_path().string() + '/', "");
  replace(fs::current_path().string() + '/', "$PWD/");
  return text;
}

}  // namespace pillion::config
