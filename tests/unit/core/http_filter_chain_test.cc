#include "proxy/core/http_filter_chain.h"

#include "tests/unit/core/scripted_filters.h"

namespace pillion::core {
namespace {

struct Counting final : FilterWorkerState {
  explicit Counting(const FilterWorkerSetup&) {}
};
class CountingFilter final : public HttpFilter {
 public:
  CountingFilter(const HttpFilterFactory&, FilterContext&) {}
};
class CountingFactory final
    : public HttpFilterFactoryOf<CountingFilter, CountingFactory, Counting> {};

class FilterWorkerStatesTest : public ::testing::Test {
 protected:
  using Factory = std::shared_ptr<const HttpFilterFactory>;
  static HttpFilterChain chain(const std::vector<Factory>& factories) {
    std::vector<HttpFilterChain::Entry> entries;
    for (const Factory& factory : factories) entries.push_back({"f", factory});
    return HttpFilterChain(std::move(entries));
  }
  static Factory filter() { return std::make_shared<CountingFactory>(); }

  stats::Registry registry;
  FilterWorkerSetup setup{registry, 0, "web"};
};

TEST_F(FilterWorkerStatesTest, GoOnWithTheSameChain) {
  const HttpFilterChain only = chain({filter(), filter()});
  const FilterWorkerStates first = only.make_worker_states(setup);
  EXPECT_NE(first[0], first[1]);
  EXPECT_EQ(only.make_worker_states(setup, only, first), first);
}

TEST_F(FilterWorkerStatesTest, GoOnWhereTheFactoryIsTheSameObject) {
  const Factory stays = filter();
  const Factory moves = filter();
  const HttpFilterChain before = chain({stays, filter(), moves});
  const FilterWorkerStates first = before.make_worker_states(setup);
  // As if ECDS had replaced the one in the middle and another had come.
  const HttpFilterChain after = chain({stays, moves, filter(), filter()});
  const FilterWorkerStates second = after.make_worker_states(setup, before, first);
  ASSERT_EQ(second.size(), 4u);
  EXPECT_EQ(second[0], first[0]);
  EXPECT_EQ(second[1], first[2]);
  EXPECT_NE(second[2], first[1]);
  EXPECT_NE(second[2].get(), nullptr);
  EXPECT_NE(second[3], second[2]);
}

TEST_F(FilterWorkerStatesTest, OutliveTheChainThatMadeThem) {
  const Factory stays = filter();
  const HttpFilterChain after = chain({stays});
  FilterWorkerStates second;
  {
    const HttpFilterChain before = chain({stays});
    second = after.make_worker_states(setup, before, before.make_worker_states(setup));
  }
  EXPECT_EQ(second[0]->ref_count(), 1u);
}

}  // namespace
}  // namespace pillion::core
