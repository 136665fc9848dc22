#include "filters/rbac/uri_template.h"

#include <gtest/gtest.h>

#include "proxy/match/regex.h"

namespace pillion::filters::rbac {
namespace {

bool matches(std::string_view pattern, std::string_view path) {
  const auto regex = regex_of_template(pattern);
  EXPECT_TRUE(regex) << pattern << ": " << regex.error();
  const auto compiled = match::Regex::compile(regex.value_or(""));
  EXPECT_TRUE(compiled) << pattern;
  return compiled && (*compiled)->matches(path);
}

TEST(UriTemplate, MatchesWholePaths) {
  struct Row {
    std::string_view pattern, path;
    bool expected;
  };
  constexpr Row kRows[] = {
      {"/users", "/users", true},
      {"/users", "/users/", false},
      {"/a.b+c", "/a.b+c", true},
      {"/a.b", "/axb", false},
      {"/users/*", "/users/7", true},
      {"/users/*", "/users/", false},
      {"/users/*", "/users/7/orders", false},
      {"/users/*/orders", "/users/7/orders", true},
      {"/users/{id}/orders/{order=*}", "/users/7/orders/8", true},
      {"/users/**", "/users/", true},
      {"/users/**", "/users/7/orders", true},
      {"/users/**", "/users", false},
      {"/users/{rest=**}", "/users/7/8", true},
      {"/videos/**.mp4", "/videos/a/b.mp4", true},
      {"/videos/**.mp4", "/videos/a/b.mp3", false},
      {"/users/*", "/users/\xff\"[", true},
  };
  for (const Row& row : kRows)
    EXPECT_EQ(matches(row.pattern, row.path), row.expected) << row.pattern << ' ' << row.path;
}

TEST(UriTemplate, RefusesWhatIsNone) {
  for (const std::string_view bad : {"", "users", "/**/a/*", "/**/**", "/{", "/{}", "/{a=b}",
                                     "/{a-b}", "/a}", "/***", "/a?b", "/a b", "/*/*/*/*/*/*"})
    EXPECT_FALSE(regex_of_template(bad)) << bad;
}

}  // namespace
}  // namespace pillion::filters::rbac
