// Against a real DNS server on loopback, scripted by each test.
#include "proxy/io/resolver.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include "proxy/base/str.h"
#include "tests/support/dns_server.h"
#include "tests/support/run_until.h"

namespace pillion::io {
namespace {

using std::chrono::milliseconds;
using testing::DnsQuestion;
using testing::DnsReply;
using testing::DnsServer;
using testing::DnsType;

struct Asker final : DnsObserver {
  void on_dns_answer(DnsAnswer a) override { answer = std::move(a); }
  std::optional<DnsAnswer> answer;
};

std::string text_of(const DnsFamilyAnswer& family) {
  switch (family.status) {
    case DnsStatus::kNotAsked:
      return "-";
    case DnsStatus::kNotFound:
      return "none";
    case DnsStatus::kFailed:
      return "failed";
    case DnsStatus::kFound:
      break;
  }
  std::string out;
  for (const DnsRecord& r : family.records) {
    out += str(out.empty() ? "" : " ", r.address.ip_string(), '/', r.ttl.count());
  }
  return out;
}

class ResolverTest : public ::testing::Test {
 protected:
  ResolverTest() {
    folder_ = std::filesystem::path(::testing::TempDir()) / str("pillion_dns_", ::getpid());
    std::filesystem::create_directories(folder_);
    write("resolv.conf", "nameserver 127.0.0.1\n");
    options_.servers = {server_.address()};
    options_.resolv_conf = (folder_ / "resolv.conf").string();
    options_.hosts = (folder_ / "hosts").string();
  }
  ~ResolverTest() override { std::filesystem::remove_all(folder_); }

  void write(const char* file, std::string_view text) { std::ofstream(folder_ / file) << text; }
  Resolver& resolver() {
    if (!resolver_) resolver_.emplace(loop_, options_);
    return *resolver_;
  }
  // "A records|AAAA records".
  std::string resolve(std::string_view name, DnsFamilies families = {}) {
    Asker asker;
    resolver().resolve(name, families, asker);
    EXPECT_FALSE(asker.answer.has_value()) << "answered inside the call";
    EXPECT_TRUE(testing::run_until(loop_, [&] { return asker.answer.has_value(); }));
    if (!asker.answer) return "no answer";
    reason_ = asker.answer->reason;
    return text_of(asker.answer->v4) + '|' + text_of(asker.answer->v6);
  }
  std::string asked() const {
    std::string out;
    for (const DnsQuestion& q : server_.questions()) {
      if (q.type == DnsType::kA) out += str(out.empty() ? "" : " ", q.name);
    }
    return out;
  }

  DnsServer server_;
  Loop loop_;
  Resolver::Options options_;
  std::optional<Resolver> resolver_;
  std::filesystem::path folder_;
  std::string reason_;
};

TEST_F(ResolverTest, FindsBothFamiliesWithTheirTtl) {
  server_.set_a("orders.shop", {"10.0.0.1", "10.0.0.2"}, 30);
  server_.set_aaaa("orders.shop", {"fd00::1"}, 7);
  EXPECT_EQ(resolve("orders.shop"), "10.0.0.1/30 10.0.0.2/30|fd00::1/7");
  EXPECT_EQ(resolve("ORDERS.shop."), "10.0.0.1/30 10.0.0.2/30|fd00::1/7");
}

TEST_F(ResolverTest, AsksOnlyForTheFamilyThatIsWanted) {
  server_.set_a("a", {"10.0.0.1"});
  server_.set_aaaa("a", {"fd00::1"});
  EXPECT_EQ(resolve("a.", {true, false}), "10.0.0.1/60|-");
  EXPECT_EQ(resolve("a.", {false, true}), "-|fd00::1/60");
  EXPECT_EQ(server_.questions(),
            (std::vector<DnsQuestion>{{"a", DnsType::kA, false}, {"a", DnsType::kAaaa, false}}));
}

TEST_F(ResolverTest, FollowsAliasesAndTakesTheLowestTtl) {
  server_.set("www", DnsType::kCname, {{"web.shop"}, 5, 0, false, false, false});
  server_.set_a("web.shop", {"10.0.0.1"}, 300);
  EXPECT_EQ(resolve("www."), "10.0.0.1/5|none");
}

TEST_F(ResolverTest, TellsMissingFromFailed) {
  server_.set_a("v4only", {"10.0.0.1"});
  EXPECT_EQ(resolve("v4only."), "10.0.0.1/60|none");
  EXPECT_EQ(resolve("missing."), "none|none");
  EXPECT_EQ(reason_, "");
  server_.set("broken", DnsType::kA, DnsReply::fails(2));
  server_.set("broken", DnsType::kAaaa, DnsReply::fails(5));
  EXPECT_EQ(resolve("broken."), "failed|failed");
  EXPECT_TRUE(reason_.starts_with("broken: ")) << reason_;
  // One family may fail alone.
  server_.set("half", DnsType::kA, DnsReply::fails(2));
  server_.set_aaaa("half", {"fd00::1"});
  EXPECT_EQ(resolve("half."), "failed|fd00::1/60");
}

TEST_F(ResolverTest, AsksAgainByTcpWhenTheAnswerIsTruncated) {
  std::vector<std::string> many;
  for (int i = 1; i <= 200; ++i) many.push_back(str("10.0.1.", i));
  server_.set("many", DnsType::kA, {many, 20, 0, false, true, false});
  const std::string found = resolve("many.", {true, false});
  EXPECT_TRUE(found.starts_with("10.0.1.1/20 ") && found.ends_with("10.0.1.200/20|-")) << found;
  EXPECT_EQ(server_.questions(),
            (std::vector<DnsQuestion>{{"many", DnsType::kA, false}, {"many", DnsType::kA, true}}));
}

TEST_F(ResolverTest, TriesSearchDomainsAsNdotsSays) {
  write("resolv.conf", "search shop.svc.local svc.local\noptions ndots:2\n");
  server_.set_a("orders.svc.local", {"10.0.0.1"});
  EXPECT_EQ(resolve("orders"), "10.0.0.1/60|none");
  EXPECT_EQ(asked(), "orders.shop.svc.local orders.svc.local");
  EXPECT_EQ(resolve("orders.svc.local"), "10.0.0.1/60|none");
  EXPECT_EQ(asked(), "orders.shop.svc.local orders.svc.local orders.svc.local");
}

TEST_F(ResolverTest, DoesNotMixTheFamiliesOfTwoSearchDomains) {
  write("resolv.conf", "search one two\n");
  server_.set_a("orders.one", {"10.0.0.1"});
  server_.set_aaaa("orders.two", {"fd00::2"});
  EXPECT_EQ(resolve("orders"), "10.0.0.1/60|none");
}

TEST_F(ResolverTest, DoesNotTakeAnotherDomainsAnswerForAFailure) {
  write("resolv.conf", "search one two\n");
  server_.set("orders.one", DnsType::kA, DnsReply::fails(2));
  server_.set_a("orders.two", {"10.0.0.2"});
  EXPECT_EQ(resolve("orders"), "failed|none");
  EXPECT_EQ(server_.count("orders.two"), 0u);
}

TEST_F(ResolverTest, GivesUpOnASilentServer) {
  options_.try_timeout = milliseconds(20);
  options_.tries = 3;
  server_.set("silent", DnsType::kA, DnsReply::silence());
  EXPECT_EQ(resolve("silent.", {true, false}), "failed|-");
  EXPECT_EQ(server_.count("silent"), 3u);
}

TEST_F(ResolverTest, KeepsItsDeadlineWhateverTheTries) {
  options_.try_timeout = std::chrono::seconds(60);
  options_.deadline = milliseconds(30);
  server_.set("slow", DnsType::kA, DnsReply::silence());
  server_.set_aaaa("slow", {"fd00::1"});
  EXPECT_EQ(resolve("slow."), "failed|fd00::1/60");
  EXPECT_EQ(reason_, "slow: no answer in time");
  // What is still out there does not disturb the next lookup.
  server_.set_a("good", {"10.0.0.1"});
  EXPECT_EQ(resolve("good.", {true, false}), "10.0.0.1/60|-");
}

TEST_F(ResolverTest, FailsWithoutAServer) {
  {
    options_.servers = {DnsServer().address()};
  }  // a port that nobody listens on any more
  options_.try_timeout = milliseconds(50);
  EXPECT_EQ(resolve("any."), "failed|failed");
}

TEST_F(ResolverTest, IgnoresGarbage) {
  options_.try_timeout = milliseconds(20);
  options_.tries = 1;
  server_.set("junk", DnsType::kA, {{}, 0, 0, false, false, true});
  EXPECT_EQ(resolve("junk.", {true, false}), "failed|-");
}

TEST_F(ResolverTest, KnowsAddressesLocalhostAndTheHostsFileWithoutAskingAnyone) {
  write("hosts", "10.9.9.9 orders orders.shop\n");
  EXPECT_EQ(resolve("192.0.2.7"), "192.0.2.7/0|none");
  EXPECT_EQ(resolve("::1", {false, true}), "-|::1/0");
  EXPECT_EQ(resolve("192.0.2.7", {false, true}), "-|none");
  EXPECT_EQ(resolve("localhost"), "127.0.0.1/0|::1/0");
  EXPECT_EQ(resolve("orders.shop"), "10.9.9.9/0|none");
  EXPECT_TRUE(server_.questions().empty());
  // A family that the file lacks is asked for if it is all that is wanted.
  server_.set_aaaa("orders", {"fd00::1"});
  EXPECT_EQ(resolve("orders.", {false, true}), "-|fd00::1/60");
}

TEST_F(ResolverTest, RefusesNamesThatCannotBe) {
  EXPECT_EQ(resolve(std::string(70, 'a') + ".shop."), "none|none");
  EXPECT_EQ(resolve("a..b."), "none|none");
  EXPECT_TRUE(server_.questions().empty());
}

TEST_F(ResolverTest, ReadsResolvConfAgainAfterAFailure) {
  server_.set("orders", DnsType::kA, DnsReply::fails(2));
  EXPECT_EQ(resolve("orders", {true, false}), "failed|-");
  write("resolv.conf", "search shop\n");
  server_.set_a("orders.shop", {"10.0.0.1"});
  EXPECT_EQ(resolve("orders", {true, false}), "10.0.0.1/60|-");
}

TEST_F(ResolverTest, AnswersManyLookupsAtOnce) {
  constexpr int kCount = 200;
  for (int i = 0; i < kCount; ++i) server_.set_a(str("n", i), {str("10.0.0.", i)});
  std::vector<Asker> askers(kCount);
  for (int i = 0; i < kCount; ++i) {
    resolver().resolve(str("n", i, '.'), {}, askers[static_cast<size_t>(i)]);
  }
  const auto all_answered = [&] {
    return std::ranges::all_of(askers, [](const Asker& a) { return a.answer.has_value(); });
  };
  ASSERT_TRUE(testing::run_until(loop_, all_answered));
  for (int i = 0; i < kCount; ++i) {
    EXPECT_EQ(text_of(askers[static_cast<size_t>(i)].answer->v4), str("10.0.0.", i, "/60"));
  }
}

TEST_F(ResolverTest, CancelsWhenTheAskerDiesOrSaysSo) {
  server_.set_a("a", {"10.0.0.1"});
  Asker cancelled;
  resolver().resolve("a.", {}, cancelled);
  resolver().cancel(cancelled);
  resolver().cancel(cancelled);  // again: nothing happens
  {
    Asker dead;
    resolver().resolve("a.", {}, dead);
    Asker immediate;
    resolver().resolve("localhost", {}, immediate);
  }
  EXPECT_EQ(resolve("a."), "10.0.0.1/60|none");
  EXPECT_FALSE(cancelled.answer.has_value());
  // It may ask again.
  resolver().resolve("a.", {}, cancelled);
  EXPECT_TRUE(testing::run_until(loop_, [&] { return cancelled.answer.has_value(); }));
}

TEST_F(ResolverTest, MayDieWithLookupsUnderWay) {
  server_.set("silent", DnsType::kA, DnsReply::silence());
  Asker waiting;
  Asker immediate;
  resolver().resolve("silent.", {}, waiting);
  resolver().resolve("localhost", {}, immediate);
  loop_.run_once(false);
  resolver_.reset();
  loop_.run_once(false);
  EXPECT_FALSE(waiting.answer.has_value());
}

TEST_F(ResolverTest, AskersMayAskAgainFromTheirCallback) {
  struct Again final : DnsObserver {
    explicit Again(Resolver& r) : resolver(r) {}
    void on_dns_answer(DnsAnswer) override {
      if (++answers < 3) resolver.resolve("a.", {}, *this);
    }
    Resolver& resolver;
    int answers = 0;
  };
  server_.set_a("a", {"10.0.0.1"});
  Again again(resolver());
  resolver().resolve("a.", {}, again);
  EXPECT_TRUE(testing::run_until(loop_, [&] { return again.answers == 3; }));
}

}  // namespace
}  // namespace pillion::io
