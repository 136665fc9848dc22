// The rules of both protocols (reference/envoy.md, 4) as exchanges: what happens, and what the
// client says then.
#include <sstream>

#include "proxy/base/ascii.h"
#include "tests/unit/xds/ads_fixture.h"

namespace pillion::xds {
namespace {

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
    std::map<std::string, Duration> names;
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
  std::map<std::string, Duration> asked;
};

TEST_P(AdsExchange, GoesAsTheRuleSays) { play(); }

TEST_P(AdsExchange, GoesAlikeWhereOnlyTheNamesAreToldThatDiffer) {
  by_change = true;
  play();
}

constexpr auto kSotw = Protocol::kStateOfTheWorld;
constexpr auto kDelta = Protocol::kDelta;
constexpr auto kCds = ResourceType::kClusters;
constexpr auto kRds = ResourceType::kRoutes;
constexpr auto kEds = ResourceType::kEndpoints;
constexpr auto kVhds = ResourceType::kVirtualHosts;

const Exchange kStateOfTheWorldRules[] = {
    {"AsksForAllByAnEmptyListAndSaysTheNodeOnce",
     kSotw,
     kCds,
     {{"all", {"node cds"}},
      {"< v1 n1 a b", {}, "cds v1 a b"},
      {"accept", {"cds v=v1 nonce=n1"}},
      {"< v2 n2", {}, "cds v2"},
      {"accept", {"cds v=v2 nonce=n2"}}}},
    {"RefusesWithTheVersionBeforeWhateverWasTaken",
     kSotw,
     kCds,
     {{"all", {"node cds"}},
      {"< v1 n1 a", {}, "cds v1 a"},
      {"reject", {"cds nonce=n1 error=bad"}},
      {"< v2 n2 a b", {}, "cds v2 a b"},
      {"accept", {"cds v=v2 nonce=n2"}},
      {"< v3 n3 a b", {}, "cds v3 a b"},
      {"reject b", {"cds v=v2 nonce=n3 error=bad"}}}},
    {"SaysAllNamesEachTimeWithTheNewestNonce",
     kSotw,
     kRds,
     {{"names b a", {"node rds [a,b]"}},
      {"names a b"},
      {"< v1 n1 a", {}, "rds v1 a"},
      {"accept", {"rds v=v1 [a,b] nonce=n1"}},
      {"names a b c", {"rds v=v1 [a,b,c] nonce=n1"}},
      {"names c", {"rds v=v1 [c] nonce=n1"}}}},
    {"LetsNewNamesRideOnTheAnswer",
     kSotw,
     kRds,
     {{"names a", {"node rds [a]"}},
      {"< v1 n1 a", {}, "rds v1 a"},
      {"names a b"},
      {"accept", {"rds v=v1 [a,b] nonce=n1"}}}},
    {"AsksForNothingByAnEmptyListOnlyAfterNames",
     kSotw,
     kEds,
     {{"names"},
      {"names a", {"node eds [a]"}},
      {"names", {"eds"}},
      {"end"},
      {"names b", {"node eds [b]"}}}},
    {"AnswersNothingWhereNothingWasAsked",
     kSotw,
     kEds,
     {{"names a", {"node eds [a]"}},
      {"names", {"eds"}},
      {"end"},
      // An ACK with an empty list would ask for all.
      {"< v1 n1 a"}}},
    {"AsksForAllByAStarAfterNames",
     kSotw,
     kCds,
     {{"names a", {"node cds [a]"}}, {"all", {"cds [*]"}}, {"end", {"node cds"}}}},
    {"BeginsAStreamWithVersionAndNamesAndNoNonce",
     kSotw,
     kRds,
     {{"names a", {"node rds [a]"}},
      {"< v1 n1 a", {}, "rds v1 a"},
      {"accept", {"rds v=v1 [a] nonce=n1"}},
      {"end", {"node rds v=v1 [a]"}},
      {"< v1 m1 a", {}, "rds v1 a"},
      {"accept", {"rds v=v1 [a] nonce=m1"}}}},
    {"AnswersNothingOnAnotherStream",
     kSotw,
     kRds,
     {{"names a", {"node rds [a]"}},
      {"< v1 n1 a", {}, "rds v1 a"},
      {"end", {"node rds [a]"}},
      {"accept"},
      {"names a b", {"rds v=v1 [a,b]"}}}},
    {"AnswersInTheOrderInWhichTheyCame",
     kSotw,
     kCds,
     {{"all", {"node cds"}},
      {"< v1 n1 a", {}, "cds v1 a"},
      {"< v2 n2 a", {}, ""},
      {"< v3 n3 a", {}, ""},
      {"accept", {"cds v=v1 nonce=n1"}, "cds v2 a"},
      {"reject", {"cds v=v1 nonce=n2 error=bad"}, "cds v3 a"},
      {"accept", {"cds v=v3 nonce=n3"}}}},
    {"DropsWhatWasNotAskedForAndAcceptsTheRest",
     kSotw,
     kRds,
     {{"names a", {"node rds [a]"}},
      {"< v1 n1 a x", {}, "rds v1 a"},
      {"accept", {"rds v=v1 [a] nonce=n1"}},
      {"< v2 n2 x", {}, "rds v2"},
      {"accept", {"rds v=v2 [a] nonce=n2"}}}},
    {"TakesEmptyVersionsAndNoncesThatComeAgain",
     kSotw,
     kCds,
     {{"all", {"node cds"}},
      {"< . n1 a", {}, "cds  a"},
      {"accept", {"cds nonce=n1"}},
      {"< . n1 a", {}, "cds  a"},
      {"accept", {"cds nonce=n1"}}}},
    {"RefusesTwoOfOneName",
     kSotw,
     kCds,
     {{"all", {"node cds"}},
      {"< v1 n1 a a", {}, "cds v1 wrong: cds/a: there are two of this name"},
      {"reject", {"cds nonce=n1 error=bad"}}}},
    {"RefusesNamesOfAnotherKind",
     kSotw,
     kRds,
     {{"names a", {"node rds [a]"}},
      {"< v1 n1 xdstp://x/y",
       {},
       "rds v1 wrong: rds: resources[0]: \"xdstp://x/y\": xdstp:// names are not supported"},
      {"reject", {"rds [a] nonce=n1 error=bad"}}}},
    {"TakesAHeartbeatForNoUpdate",
     kSotw,
     kRds,
     {{"names a b", {"node rds [a,b]"}},
      {"< v1 n1 a@;9s b@;20s", {}, "rds v1 a b"},
      {"accept", {"rds v=v1 [a,b] nonce=n1"}},
      {"skip 5"},
      {"< v1 n2 ~a@;9s", {"rds v=v1 [a,b] nonce=n2"}},
      {"skip 8"},
      {"skip 2", {}, "rds  -a"},
      {"accept"},
      // What is gone is no version of the server's any more.
      {"names a", {"rds [a] nonce=n2"}}}},
    {"RefusesAHeartbeatOfAnotherVersion",
     kSotw,
     kRds,
     {{"names a", {"node rds [a]"}},
      {"< v1 n1 a@;9s", {}, "rds v1 a"},
      {"accept", {"rds v=v1 [a] nonce=n1"}},
      {"< v2 n2 ~a@;9s", {}, "rds v2 wrong: rds/a: a heartbeat of a version that is not held"},
      {"reject", {"rds v=v1 [a] nonce=n2 error=bad"}}}},
    {"AsksAgainForWhatWasDroppedAndIsWantedAgainBeforeAnybodyWasTold",
     kSotw,
     kEds,
     {{"names a b", {"node eds [a,b]"}},
      {"< v1 n1 a b", {}, "eds v1 a b"},
      {"names a"},
      {"names a b"},
      // The server sees it go and come, or it would have nothing to say.
      {"accept", {"eds v=v1 [a] nonce=n1", "eds v=v1 [a,b] nonce=n1"}},
      {"< v1 n2 b", {}, "eds v1 b"},
      {"names a"},
      {"names a c"},
      {"accept", {"eds v=v1 [a,c] nonce=n2"}}}},
    {"TellsWhatAHeartbeatLeavesAsItIs",
     kSotw,
     kCds,
     {{"all", {"node cds"}},
      {"< v1 n1 a@;9s b", {}, "cds v1 a b"},
      {"accept", {"cds v=v1 nonce=n1"}},
      {"< v1 n2 ~a@;9s c", {}, "cds v1 c =a"},
      {"accept", {"cds v=v1 nonce=n2"}}}},
};

const Exchange kDeltaRules[] = {
    {"AsksForAllByAnEmptyFirstRequest",
     kDelta,
     kCds,
     {{"all", {"node cds"}},
      {"< v1 n1 a@1 b@2", {}, "cds v1 a@1 b@2"},
      {"accept", {"cds nonce=n1"}},
      {"< v2 n2 -a", {}, "cds v2 -a"},
      {"accept", {"cds nonce=n2"}}}},
    {"SaysNamesAsDifferencesAtOnceAndWithoutANonce",
     kDelta,
     kRds,
     {{"names"},
      {"names a b", {"node rds +[a,b]"}},
      {"names b a"},
      {"< v1 n1 a@1", {}, "rds v1 a@1"},
      {"names b c", {"rds +[c] -[a]"}},
      {"accept", {"rds nonce=n1"}},
      {"names", {"rds -[b,c]"}},
      {"names"}}},
    {"SaysANameThatWasDroppedAgain",
     kDelta,
     kRds,
     {{"names a", {"node rds +[a]"}},
      {"< v1 n1 a@1", {}, "rds v1 a@1"},
      {"accept", {"rds nonce=n1"}},
      {"names", {"rds -[a]"}},
      {"names a", {"rds +[a]"}}}},
    {"RefusesWithAReason",
     kDelta,
     kCds,
     {{"all", {"node cds"}},
      {"< v1 n1 a@1", {}, "cds v1 a@1"},
      {"reject", {"cds nonce=n1 error=bad"}}}},
    {"BeginsAStreamWithTheVersionsOfWhatIsHeld",
     kDelta,
     kCds,
     {{"all", {"node cds"}},
      {"< v1 n1 a@1 b@1 c@", {}, "cds v1 a@1 b@1 c"},
      {"accept", {"cds nonce=n1"}},
      {"< v2 n2 a@2 -b", {}, "cds v2 a@2 -b"},
      {"accept", {"cds nonce=n2"}},
      {"end", {"node cds has=[a@2,c@]"}},
      {"< v2 m1 a@2", {}, "cds v2 a@2"},
      {"accept", {"cds nonce=m1"}}}},
    {"HoldsTheVersionsBeforeOfWhatWasRefused",
     kDelta,
     kCds,
     {{"all", {"node cds"}},
      {"< v1 n1 a@1 b@1 c@1", {}, "cds v1 a@1 b@1 c@1"},
      {"accept", {"cds nonce=n1"}},
      {"< v2 n2 a@2 b@2 d@2 -c", {}, "cds v2 a@2 b@2 d@2 -c"},
      {"reject b d", {"cds nonce=n2 error=bad"}},
      {"< v3 n3 a@3 -a2", {}, "cds v3 a@3 -a2"},
      {"reject", {"cds nonce=n3 error=bad"}},
      {"end", {"node cds has=[a@2,b@1]"}}}},
    {"HoldsOnlyWhatIsStillWanted",
     kDelta,
     kRds,
     {{"names a b c", {"node rds +[a,b,c]"}},
      {"< v1 n1 a@1 b@1", {}, "rds v1 a@1 b@1"},
      {"accept", {"rds nonce=n1"}},
      {"< v2 n2 b@2", {}, "rds v2 b@2"},
      {"names a c", {"rds -[b]"}},
      {"accept", {"rds nonce=n2"}},
      {"end", {"node rds +[a,c] has=[a@1]"}}}},
    {"AnswersNothingOnAnotherStreamButHoldsIt",
     kDelta,
     kRds,
     {{"names a", {"node rds +[a]"}},
      {"< v1 n1 a@1", {}, "rds v1 a@1"},
      {"end", {"node rds +[a]"}},
      {"accept"},
      {"end", {"node rds +[a] has=[a@1]"}}}},
    {"DropsWhatWasNotAskedFor",
     kDelta,
     kRds,
     {{"names a", {"node rds +[a]"}},
      {"< v1 n1 a@1 x@1 -y", {}, "rds v1 a@1"},
      {"accept", {"rds nonce=n1"}},
      {"end", {"node rds +[a] has=[a@1]"}}}},
    {"AsksForAllByAStarOnceSomethingWasSaid",
     kDelta,
     kCds,
     {{"names a", {"node cds +[a]"}},
      {"all", {"cds +[*] -[a]"}},
      {"names a", {"cds +[a] -[*]"}},
      {"end", {"node cds +[a]"}}}},
    {"KnowsVirtualHostsByAnotherName",
     kDelta,
     kVhds,
     {{"names r/a.com", {"node vhds +[r/a.com]"}},
      {"< v1 n1 r/vh@1", {}, "vhds v1 r/vh@1"},
      {"accept", {"vhds nonce=n1"}},
      {"end", {"node vhds +[r/a.com] has=[r/vh@1]"}},
      {"names", {"vhds -[r/a.com]"}},
      {"names r/b.com", {"vhds +[r/b.com]"}},
      {"end", {"node vhds +[r/b.com]"}}}},
    {"RefusesTwoOfOneNameAlsoIfOneIsRemoved",
     kDelta,
     kCds,
     {{"all", {"node cds"}},
      {"< v1 n1 a@1 -a", {}, "cds v1 wrong: cds/a: it is named twice, once as removed"},
      {"reject", {"cds nonce=n1 error=bad"}}}},
    {"TakesAHeartbeatForNoUpdate",
     kDelta,
     kRds,
     {{"names a b", {"node rds +[a,b]"}},
      {"< v1 n1 a@1;9s b@1;20s", {}, "rds v1 a@1 b@1"},
      {"accept", {"rds nonce=n1"}},
      {"skip 5"},
      {"< v1 n2 ~a@1;9s", {"rds nonce=n2"}},
      {"skip 8"},
      {"skip 2", {}, "rds v1 -a"},
      {"accept"},
      {"end", {"node rds +[a,b] has=[b@1]"}}}},
    {"RefusesAHeartbeatOfWhatIsNotHeld",
     kDelta,
     kRds,
     {{"names a", {"node rds +[a]"}},
      {"< v1 n1 ~a@1;9s", {}, "rds v1 wrong: rds/a: a heartbeat of a version that is not held"},
      {"reject", {"rds nonce=n1 error=bad"}}}},
    {"EndsATimeToLiveByAnUpdateWithoutOne",
     kDelta,
     kRds,
     {{"names a", {"node rds +[a]"}},
      {"< v1 n1 a@1;9s", {}, "rds v1 a@1"},
      {"accept", {"rds nonce=n1"}},
      {"< v2 n2 a@2", {}, "rds v2 a@2"},
      {"accept", {"rds nonce=n2"}},
      {"skip 60"}}},
    {"TellsOfTheEndOfATimeToLiveAfterTheResponseThatIsLookedAt",
     kDelta,
     kRds,
     {{"names a b", {"node rds +[a,b]"}},
      {"< v1 n1 a@1;9s", {}, "rds v1 a@1"},
      {"skip 10"},
      {"< v2 n2 b@1", {}, ""},
      {"accept", {"rds nonce=n1"}, "rds v1 -a"},
      {"reject", {}, "rds v2 b@1"},
      {"accept", {"rds nonce=n2"}}}},
};

std::string name_of(const ::testing::TestParamInfo<Exchange>& info) { return info.param.rule; }
INSTANTIATE_TEST_SUITE_P(StateOfTheWorld, AdsExchange, ::testing::ValuesIn(kStateOfTheWorldRules),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Delta, AdsExchange, ::testing::ValuesIn(kDeltaRules), name_of);

}  // namespace
}  // namespace pillion::xds
