#include "tests/unit/filters/filter_fixture.h"

namespace pillion::filters {
namespace {

using stats::PrincipalStats;

class PrincipalStatsTest : public FilterTest {
 protected:
  PrincipalStatsTest() : FilterTest("pillion.filters.http.principal_stats.v1.PrincipalStats") {
    configure("{}");
    identity_.verified = true;
    connection_.identity = &identity_;
  }
  void ask(std::string_view principal, uint16_t status = 200) {
    identity_.uri_san = principal;
    Exchange& made = exchange();
    made.info_.connection = &connection_;
    made.info_.response_code = status;
    made.respond(status);
    made.end();
  }
  PrincipalStats& row(std::string_view principal) {
    auto block = worker.registry.block<PrincipalStats>(0, "web", principal);
    PrincipalStats& counters = *block;
    rows_.push_back(std::move(block));
    return counters;
  }

  io::PeerIdentity identity_;
  core::ConnectionInfo connection_;
  std::vector<stats::BlockRef<PrincipalStats>> rows_;
};

TEST_F(PrincipalStatsTest, CountsRequestsByWhoAsks) {
  ask("spiffe://a/x", 200);
  ask("spiffe://a/x", 404);
  ask("spiffe://a/y", 503);
  ask("spiffe://a/y", 0);
  EXPECT_EQ(row("spiffe://a/x").rq_total.value(), 2);
  EXPECT_EQ(row("spiffe://a/x").rq_2xx.value(), 1);
  EXPECT_EQ(row("spiffe://a/x").rq_4xx.value(), 1);
  EXPECT_EQ(row("spiffe://a/y").rq_total.value(), 2);
  EXPECT_EQ(row("spiffe://a/y").rq_5xx.value(), 1);
}

TEST_F(PrincipalStatsTest, KnowsNobodyWhoProvedNothing) {
  ask("");
  identity_.verified = false;
  ask("spiffe://a/forged");
  connection_.identity = nullptr;
  ask("spiffe://a/plain");
  EXPECT_EQ(row("unknown").rq_total.value(), 3);
  EXPECT_EQ(row("spiffe://a/forged").rq_total.value(), 0);
}

TEST_F(PrincipalStatsTest, HasAtMostSoManyRows) {
  for (int i = 0; i < 300; ++i) ask(str("spiffe://a/", i));
  ask("spiffe://a/7");
  EXPECT_EQ(row("spiffe://a/7").rq_total.value(), 2);
  EXPECT_EQ(row("spiffe://a/255").rq_total.value(), 1);
  EXPECT_EQ(row("spiffe://a/256").rq_total.value(), 0);
  EXPECT_EQ(row("other").rq_total.value(), 44);
}

TEST_F(PrincipalStatsTest, HasNoFields) { EXPECT_NE(errors_of("{ max: 1 }"), ""); }

}  // namespace
}  // namespace pillion::filters
