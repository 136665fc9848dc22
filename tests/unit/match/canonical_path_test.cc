#include "proxy/match/canonical_path.h"

#include <gtest/gtest.h>

#include <string>

#include "proxy/config/loader.h"

namespace pillion::match {
namespace {

constexpr PathOptions kOff{};
constexpr PathOptions kNormalize{true, false, EscapedSlashes::kKeep};
constexpr PathOptions kMerge{false, true, EscapedSlashes::kKeep};
constexpr PathOptions kBoth{true, true, EscapedSlashes::kKeep};
constexpr PathOptions kReject{true, true, EscapedSlashes::kReject};
constexpr PathOptions kRejectOnly{false, false, EscapedSlashes::kReject};
constexpr PathOptions kForward{true, true, EscapedSlashes::kUnescapeForward};
constexpr PathOptions kForwardOnly{false, false, EscapedSlashes::kUnescapeForward};
constexpr PathOptions kRedirect{true, true, EscapedSlashes::kUnescapeRedirect};
constexpr PathOptions kRedirectOnly{false, false, EscapedSlashes::kUnescapeRedirect};

// The path; "reject", or "redirect " and the path.
std::string run(std::string_view path, const PathOptions& options) {
  Arena arena;
  const PathResult result = canonicalize(path, options, arena);
  if (result.verdict == PathVerdict::kReject) return "reject";
  return (result.verdict == PathVerdict::kRedirect ? "redirect " : "") + std::string(result.path);
}

struct PathCase {
  std::string_view path;
  PathOptions options;
  std::string_view expected;
};

TEST(CanonicalPath, FollowsTheTable) {
  const PathCase cases[] = {
      // Nothing asked for: nothing changes but a fragment.
      {"/", kOff, "/"},
      {"/a/../b//c%2Fd", kOff, "/a/../b//c%2Fd"},
      {"/a#b", kOff, "reject"},
      {"/a?x#b", kOff, "reject"},
      // RFC 3986, 5.2.4 and 5.4.
      {"/a/b/c/./../../g", kNormalize, "/a/g"},
      {"/a/..", kNormalize, "/"},
      {"/a/.", kNormalize, "/a/"},
      {"/a/b/..", kNormalize, "/a/"},
      {"/..", kNormalize, "/"},
      {"/../../etc/passwd", kNormalize, "/etc/passwd"},
      {"/./", kNormalize, "/"},
      {"/.", kNormalize, "/"},
      {"/a/...", kNormalize, "/a/..."},
      {"/a/..b/.c", kNormalize, "/a/..b/.c"},
      {"/a//../b", kNormalize, "/a/b"},
      {"/a//b", kNormalize, "/a//b"},
      // The query is never touched.
      {"/a/./b?c=/../d//e%2e", kNormalize, "/a/b?c=/../d//e%2e"},
      {"/a?b=//", kMerge, "/a?b=//"},
      {"/a/..?x", kNormalize, "/?x"},
      // Escaped dots and letters; what is reserved stays.
      {"/a/%2e%2E/b", kNormalize, "/b"},
      {"/a/.%2e/b", kNormalize, "/b"},
      {"/%61%7e%2D", kNormalize, "/a~-"},
      {"/a%3Bb%20c%25", kNormalize, "/a%3Bb%20c%25"},
      {"/a%00b", kNormalize, "reject"},
      // What a path may not have is escaped; the query stays.
      {"/a\"<>^`{|}b?c|d", kNormalize, "/a%22%3C%3E%5E%60%7B%7C%7Db?c|d"},
      {"/\xe4", kNormalize, "/%E4"},
      {"/|/../b", kNormalize, "/b"},
      {"/a|b", kMerge, "/a|b"},
      {"/a[b]!$&'()*+,;=:@b", kNormalize, "/a[b]!$&'()*+,;=:@b"},
      // No second round of unescaping can be made to happen downstream.
      {"/%%32e%%32e/", kNormalize, "/%252e%252e/"},
      {"/%252e%252e/", kNormalize, "/%252e%252e/"},
      {"/100%", kNormalize, "/100%25"},
      {"/%2%46", kForward, "/%252F"},
      // Backslashes.
      {"/a\\..\\b", kNormalize, "/b"},
      {"\\a", kNormalize, "reject"},
      {"/a\\b", kMerge, "/a\\b"},
      // CVE-2026-73551 and its kin: a parameter hides no dot segment.
      {"/public/..;/admin", kNormalize, "/admin"},
      {"/public/..;x=y/admin", kNormalize, "/admin"},
      {"/public/.;p/admin", kNormalize, "/public/admin"},
      {"/public/%2e.;/admin", kNormalize, "/admin"},
      {"/a;x/b", kNormalize, "/a;x/b"},
      {"/a/..;", kNormalize, "/"},
      // Slashes in a row.
      {"//", kMerge, "/"},
      {"//a///b/", kMerge, "/a/b/"},
      {"/a//./b", kBoth, "/a/b"},
      {"/a/.//../b", kBoth, "/a/b"},
      // Escaped slashes: CVE-2021-29492.
      {"/a%2fb%5cc", kBoth, "/a%2Fb%5Cc"},
      {"/a%2fb%5cc", kMerge, "/a%2fb%5cc"},
      {"/a%2fb", kReject, "reject"},
      {"/a%5Cb", kRejectOnly, "reject"},
      {"/a%20b", kRejectOnly, "/a%20b"},
      {"/a?b=%2F", kReject, "/a?b=%2F"},
      {"/a%2Fb", kForwardOnly, "/a/b"},
      {"/a%5Cb", kForwardOnly, "/a\\b"},
      {"/a%2F..%2Fb%5Cc", kForward, "/b/c"},
      {"/a%2Fb?c=%2F", kRedirectOnly, "redirect /a/b?c=%2F"},
      {"/a%2F%2e%2e/b", kRedirect, "redirect /b"},
      {"/a/b", kRedirect, "/a/b"},
      // Escapes have one spelling (RFC 3986, 6.2.2.1).
      {"/caf%c3%a9", kNormalize, "/caf%C3%A9"},
      {"/caf%c3%A9?%c3", kNormalize, "/caf%C3%A9?%c3"},
      {"/caf\xc3\xa9", kNormalize, "/caf%C3%A9"},
      {"/%u0061", kNormalize, "/%25u0061"},
      // A parameter hides no dot segment, and its escape hides no parameter.
      {"/a/..%3Bx/admin", kNormalize, "/admin"},
      {"/a/.%3b/admin", kNormalize, "/a/admin"},
      // ASCII in overlong UTF-8, where escaped slashes are not kept.
      {"/a%c0%afb", kReject, "reject"},
      {"/%c0%ae%c0%ae/admin", kForward, "reject"},
      {"/%c1%a1dmin", kRejectOnly, "reject"},
      {"/%e0%80%afadmin", kReject, "reject"},
      {"/%e0%81%a1dmin", kRedirect, "reject"},
      {"/%f0%80%80%afadmin", kReject, "reject"},
      {"/\xc0%af", kReject, "reject"},
      {"/%c0%af", kBoth, "/%C0%AF"},
      {"/%e4%c3%a4%e2%82%ac%e0%a0%80%f0%9f%98%80", kReject,
       "/%E4%C3%A4%E2%82%AC%E0%A0%80%F0%9F%98%80"},
      // A redirect must not lead to another site.
      {"/%2Fevil.example", kRedirectOnly, "redirect /evil.example"},
      {"/%5Cevil.example/x", kRedirectOnly, "redirect /evil.example/x"},
      {"//x%2Fy", kRedirectOnly, "redirect /x/y"},
  };
  for (const PathCase& c : cases) EXPECT_EQ(run(c.path, c.options), c.expected) << c.path;
}

TEST(CanonicalPath, IsItsOwnCanonicalForm) {
  constexpr std::string_view kAlphabet[] = {"/", "//", ".",  "..",  "%2e", "%2F", "%5c", "\\",
                                            "%", "a",  ";x", "%25", "2e",  "%3",  "?",   "%61"};
  for (const PathOptions& options : {kNormalize, kMerge, kBoth, kForward}) {
    for (uint32_t seed = 0; seed < 20000; ++seed) {
      std::string path = "/";
      for (uint32_t bits = seed * 2654435761u, i = 0; i < 7; ++i, bits /= 16) {
        path += kAlphabet[bits % 16];
      }
      const std::string once = run(path, options);
      if (once == "reject") continue;
      EXPECT_EQ(run(once, options), once) << path;
      if (!options.normalize) continue;
      const std::string_view plain = without_query(once);
      EXPECT_EQ(plain.find("/../"), plain.npos) << path;
      EXPECT_FALSE(plain.ends_with("/..")) << path;
      EXPECT_TRUE(plain.starts_with('/')) << path;
    }
  }
}

TEST(CanonicalPath, TakesNoMemoryWhenNothingChanges) {
  Arena arena;
  const std::string_view path = "/users/7.json?x=%2F//";
  const PathResult result = canonicalize(path, kRedirect, arena);
  EXPECT_EQ(result.path.data(), path.data());
  EXPECT_EQ(arena.bytes_reserved(), 0u);
}

TEST(CanonicalPath, DropsParametersPerSegment) {
  Arena arena;
  EXPECT_EQ(without_path_parameters("/a;x=1/b;y/c", arena), "/a/b/c");
  EXPECT_EQ(without_path_parameters("/a;b;c", arena), "/a");
  EXPECT_EQ(without_path_parameters("/a/b", arena), "/a/b");
  EXPECT_EQ(without_path_parameters("/a%3Bx/b%3b", arena), "/a/b");
  EXPECT_EQ(without_path_parameters("/a%3Cx", arena), "/a%3Cx");
  EXPECT_EQ(without_path_parameters("*", arena), "*");
}

TEST(CanonicalPath, TakesASegmentOfParametersAloneForNone) {
  // Servers that drop parameters first see "//", and many of them merge it.
  Arena arena;
  EXPECT_EQ(without_path_parameters("/;x/admin", arena), "/admin");
  EXPECT_EQ(without_path_parameters("/a/;/%3bx/b", arena), "/a/b");
  EXPECT_EQ(without_path_parameters("/a/;x", arena), "/a/");
  EXPECT_EQ(without_path_parameters("/;", arena), "/");
  EXPECT_EQ(without_path_parameters("/a//b;", arena), "/a//b");
}

TEST(CanonicalPath, ReadsTheManagersFields) {
  config::Errors errors;
  const auto parse = [&errors](std::string_view text) {
    const auto document = config::load_text(text, "hcm", errors);
    return parse_path_options(document->root(errors));
  };
  const PathOptions all = parse(
      "{ normalize_path: true, mergeSlashes: true,"
      "  path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT }");
  EXPECT_TRUE(all.normalize);
  EXPECT_TRUE(all.merge_slashes);
  EXPECT_EQ(all.escaped_slashes, EscapedSlashes::kUnescapeRedirect);
  const PathOptions none = parse("{ path_with_escaped_slashes_action: 0 }");
  EXPECT_FALSE(none.normalize);
  EXPECT_FALSE(none.merge_slashes);
  EXPECT_EQ(none.escaped_slashes, EscapedSlashes::kKeep);
  EXPECT_TRUE(errors.ok()) << errors.to_string();
  (void)parse("{ path_with_escaped_slashes_action: REJECT }");
  EXPECT_FALSE(errors.ok());
}

}  // namespace
}  // namespace pillion::match
