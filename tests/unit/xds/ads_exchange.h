#pragma once
// The rules of a protocol (reference/envoy.md, 4) as exchanges: what happens, and what the client
// says then.

#include <sstream>

#include "proxy/base/ascii.h"
#include "tests/unit/xds/ads_fixture.h"

namespace pillion::xds {

using namespace std::chrono_literals;

// `what` is one of
//   all | names a b ...             subscribe_all(); subscribe(), or change()
//   < v1 n1 items                   the server says it (see said())
//   accept | reject | reject a b    the observer; `a b` are refused, the others taken
//   end                             the stream breaks, and the next one begins
//   skip 5                          so many seconds
struct Step {
  std::string what;
  std::vector<std::string> requests = {};
  std::string observer = {};  // gets that
};

struct Exchange {
  std::string rule;
  Protocol protocol;
  ResourceType type;
  std::vector<Step> steps;
};

class AdsExchange : public AdsTest, public ::testing::WithParamInterface<Exchange> {
 protected:
  void play() {
    options.protocol = GetParam().protocol;
    begin();
    for (const Step& step : GetParam().steps) {
      seen.lines.clear();
      run(step.what);
      if (HasFatalFailure()) return;
      EXPECT_THAT(requests(), ::testing::ElementsAreArray(step.requests)) << "after " << step.what;
      const std::string line = seen.lines.empty() ? "" : seen.lines.back();
      EXPECT_EQ(line, step.observer) << "after " << step.what;
    }
  }
  void ask(ResourceType type, const std::vector<std::string>& words) {
    AskedNames names;
    for (const std::string& word : words) names[word] = 0s;
    if (!by_change) return ads->subscribe(type, names);
    std::vector<std::string> touched;
    for (const auto& [name, timeout] : names)
      if (!asked.contains(name)) touched.push_back(name);
    for (const auto& [name, timeout] : asked)
      if (!names.contains(name)) touched.push_back(name);
    asked = names;
    ads->change(type, names, touched);
  }
  void run(const std::string& text) {
    const ResourceType type = GetParam().type;
    std::istringstream in(text);
    std::string verb;
    in >> verb;
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    if (verb == "all") return ads->subscribe_all(type, 0s);
    if (verb == "names") return ask(type, words);
    if (verb == "accept") return ads->accept(type);
    if (verb == "reject")
      return words.empty() ? ads->reject(type, "bad")
                           : ads->reject(type, "bad", {words.begin(), words.end()});
    if (verb == "skip") return loop.skip(std::chrono::seconds(std::stoi(words.at(0))));
    if (verb == "<") {
      ASSERT_GE(words.size(), 2u);
      return server_says(type, words[0] == "." ? "" : words[0], words[1],
                         {words.begin() + 2, words.end()});
    }
    ASSERT_EQ(verb, "end");
    const size_t count = clusters.calls.size();
    clusters.last().fail("reset");
    wait_for_call(count + 1);
    clusters.last().head();
  }

  bool by_change = false;
  AskedNames asked;
};

inline constexpr auto kSotw = Protocol::kStateOfTheWorld;
inline constexpr auto kDelta = Protocol::kDelta;
inline constexpr auto kCds = ResourceType::kClusters;
inline constexpr auto kRds = ResourceType::kRoutes;
inline constexpr auto kEds = ResourceType::kEndpoints;
inline constexpr auto kVhds = ResourceType::kVirtualHosts;

inline std::string name_of(const ::testing::TestParamInfo<Exchange>& info) {
  return info.param.rule;
}

}  // namespace pillion::xds
