#include "proxy/base/shared_part.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace pillion {
namespace {

struct Options {
  int timeout = 5;
  std::string name;
  friend bool operator==(const Options&, const Options&) = default;
};
size_t value_hash(const Options& options) noexcept { return static_cast<size_t>(options.timeout); }

using Part = SharedPart<Options>;

const Options* read(const Part& part) { return &*part; }

TEST(SharedParts, AreTheDefaultUntilTheyAreChanged) {
  const Part a;
  const Part b;
  EXPECT_EQ(a->timeout, 5);
  EXPECT_EQ(read(a), read(b));
}

TEST(SharedParts, AreOneObjectWhereTheyAreEqual) {
  Part a;
  Part b;
  Part other;
  a->timeout = b->timeout = other->timeout = 7;
  other->name = "other";
  EXPECT_NE(read(a), read(b)) << "not yet";
  for (Part* part : {&a, &b, &other}) part->share();
  EXPECT_EQ(read(a), read(b));
  EXPECT_NE(read(a), read(other)) << "with an equal hash";
  EXPECT_EQ(read(other)->name, "other");
}

TEST(SharedParts, AreChangedInOneOwnerAlone) {
  Part a;
  a->timeout = 7;
  a.share();
  Part copy = a;
  EXPECT_EQ(read(copy), read(a));
  copy->timeout = 8;
  EXPECT_EQ(read(a)->timeout, 7);
  Part copy_of_own = copy;
  copy_of_own->timeout = 9;
  EXPECT_EQ(read(copy)->timeout, 8);
  copy = a;
  EXPECT_EQ(read(copy), read(a));
}

}  // namespace
}  // namespace pillion
