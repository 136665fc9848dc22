#include "proxy/base/ref.h"

#include <gtest/gtest.h>

namespace pillion {
namespace {

struct Counted : RefCounted<Counted> {
  explicit Counted(int& deaths) : deaths_(deaths) {}
  ~Counted() { ++deaths_; }
  int& deaths_;
};

TEST(Ref, DeletesWithTheLastReference) {
  int deaths = 0;
  Ref<Counted> a = make_ref<Counted>(deaths);
  EXPECT_EQ(a->ref_count(), 1u);
  Ref<Counted> b = a;
  EXPECT_EQ(a->ref_count(), 2u);
  EXPECT_TRUE(a == b);
  a.reset();
  EXPECT_FALSE(a);
  EXPECT_EQ(deaths, 0);
  b.reset();
  EXPECT_EQ(deaths, 1);
}

TEST(Ref, MovesWithoutCounting) {
  int deaths = 0;
  Ref<Counted> a = make_ref<Counted>(deaths);
  Ref<Counted> b = std::move(a);
  EXPECT_EQ(b->ref_count(), 1u);
  a = std::move(b);
  EXPECT_EQ(a->ref_count(), 1u);
}

TEST(Ref, SurvivesAssignmentToItself) {
  int deaths = 0;
  Ref<Counted> a = make_ref<Counted>(deaths);
  const Ref<Counted>& same = a;
  a = same;
  EXPECT_EQ(deaths, 0);
  EXPECT_EQ(a->ref_count(), 1u);
}

TEST(Ref, AssignmentReleasesWhatWasThere) {
  int first = 0;
  int second = 0;
  Ref<Counted> a = make_ref<Counted>(first);
  a = make_ref<Counted>(second);
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 0);
}

struct Recycled : RefCounted<Recycled> {
  void last_ref_gone() { ++returned; }
  int returned = 0;
};

TEST(Ref, RecyclesTypesThatWantIt) {
  Recycled object;
  Ref<Recycled>(&object).reset();
  EXPECT_EQ(object.returned, 1);
}

}  // namespace
}  // namespace pillion
