#include "proxy/admin/page.h"

#include <gtest/gtest.h>

#include <string>

namespace pillion::admin {
namespace {

Response ask(const Router& router, const Request& request) {
  Response response;
  router.handle(request, response);
  return response;
}
Response ask(const Router& router, std::string_view method, std::string_view target) {
  return ask(router, Request::parse(method, target));
}

// A page that says what it was asked, and one that changes something.
Router two_pages() {
  Router router;
  router.add({"/look",
              "look at it",
              {{"how", "in which way", {"fast", "slow"}}},
              false,
              [](const Request& request, Response& response) {
                response.body = std::string(request.param("how").value_or("none"));
              }});
  router.add({"/act", "do it", {}, true, [](const Request&, Response& response) {
                response.body = "done";
              }});
  return router;
}

TEST(Request, SplitsTargetAndDecodesParameters) {
  const Request r = Request::parse("GET", "/stats?usedonly&filter=a%2Bb%7c+c&bad=%zz%4&=x#frag");
  EXPECT_EQ(r.path, "/stats");
  EXPECT_EQ(r.params, (Pairs{{"usedonly", ""}, {"filter", "a+b| c"}, {"bad", "%zz%4"}, {"", "x"}}));
  EXPECT_TRUE(r.has("usedonly"));
  EXPECT_FALSE(r.has("format"));
}

TEST(Request, ReadsTheFormThatABrowserPosts) {
  const Request r =
      Request::parse("POST", "/logging?a=1", "application/x-www-form-urlencoded; charset=utf-8",
                     "level=debug&paths=");
  EXPECT_EQ(r.params, (Pairs{{"a", "1"}, {"level", "debug"}, {"paths", ""}}));
}

TEST(Request, LeavesOtherBodiesAlone) {
  const Request r = Request::parse("POST", "/logging", "text/plain", "level=debug");
  EXPECT_TRUE(r.params.empty());
}

TEST(Router, FindsPagesByWholePath) {
  const Router router = two_pages();
  EXPECT_EQ(ask(router, "GET", "/look?how=slow").body, "slow");
  EXPECT_EQ(ask(router, "HEAD", "/look").status, 200);
  EXPECT_EQ(ask(router, "POST", "/look").status, 200);
  EXPECT_EQ(ask(router, "GET", "/look/").status, 404);
  EXPECT_EQ(ask(router, "GET", "/loo").status, 404);
}

TEST(Router, ListsItsPagesToThoseWhoAreLost) {
  EXPECT_EQ(ask(two_pages(), "GET", "/nosuch").body,
            "invalid path. admin commands are:\n"
            "  /act (POST): do it\n"
            "  /look: look at it\n"
            "      how: in which way; One of (fast, slow)\n");
}

TEST(Router, WantsPostForChanges) {
  const Router router = two_pages();
  const Response response = ask(router, "GET", "/act");
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(response.body, "Method GET not allowed, POST required.");
  EXPECT_EQ(response.headers().back(), (std::pair<std::string, std::string>("allow", "POST")));
  EXPECT_EQ(ask(router, "POST", "/act").body, "done");
  EXPECT_EQ(ask(router, "PUT", "/act").status, 405);
  EXPECT_EQ(ask(router, "DELETE", "/look").status, 405);
}

TEST(Router, DoesNotEchoAnUnknownMethod) {
  EXPECT_EQ(ask(two_pages(), "<script>", "/act").body.find("<script>"), std::string::npos);
}

TEST(Router, RefusesPostsThatABrowserSendsForAnotherSite) {
  // Else any web page could stop the proxy on the machine of whoever looks at it.
  const Router router = two_pages();
  Request request = Request::parse("POST", "/act");
  request.host = "127.0.0.1:15000";
  request.origin = "https://evil.example";
  EXPECT_EQ(ask(router, request).status, 403);
  request.origin = "null";
  EXPECT_EQ(ask(router, request).status, 403);
  request.origin = "http://127.0.0.1:15000";
  EXPECT_EQ(ask(router, request).status, 200);
  request.origin.clear();  // curl
  EXPECT_EQ(ask(router, request).status, 200);
}

TEST(Router, AnswersOnlyAllowedPaths) {
  Router router = two_pages();
  router.allow_only([](std::string_view path) { return path == "/look"; });
  EXPECT_EQ(ask(router, "GET", "/look").status, 200);
  EXPECT_EQ(ask(router, "POST", "/act").status, 403);
  EXPECT_EQ(ask(router, "GET", "/nosuch").status, 403);
}

TEST(Response, ForbidsCachingAndGuessing) {
  EXPECT_EQ(Response().headers(), (Pairs{{"content-type", "text/plain; charset=UTF-8"},
                                         {"cache-control", "no-cache, max-age=0"},
                                         {"x-content-type-options", "nosniff"}}));
}

TEST(IndexPage, OffersALinkOrAFormForEachPage) {
  const std::string html = index_html(two_pages(), "1.0");
  EXPECT_NE(html.find("<a href=\"/look\">/look</a>"), std::string::npos);
  EXPECT_NE(html.find("<form action=\"/look\" method=\"get\"><label>how <select name=\"how\">"
                      "<option>fast</option><option>slow</option></select> in which way</label>"),
            std::string::npos);
  EXPECT_NE(html.find("<form action=\"/act\" method=\"post\"><button class=\"post\">run</button>"),
            std::string::npos);
  EXPECT_EQ(html.find("<a href=\"/act\""), std::string::npos) << "a link would GET it";
}

TEST(IndexPage, EscapesWhatPagesAreCalled) {
  Router router;
  router.add({"/a\"><script>", "<b>&'", {{"<i>", "\"q\""}}, false, nullptr});
  const std::string html = index_html(router, "<v>");
  for (const char* raw : {"<script>", "<b>", "<i>", "<v>"}) {
    EXPECT_EQ(html.find(raw), std::string::npos) << raw;
  }
  EXPECT_NE(html.find("&lt;b&gt;&amp;&#39;"), std::string::npos);
}

TEST(IndexPage, LoadsNothingFromElsewhere) {
  Response response;
  response.content_type = kHtml;
  const auto headers = response.headers();
  EXPECT_EQ(headers.back().first, "content-security-policy");
  EXPECT_TRUE(headers.back().second.starts_with("default-src 'none'"));
  const std::string html = index_html(two_pages(), "1.0");
  EXPECT_EQ(html.find("http"), std::string::npos);
  EXPECT_EQ(html.find("src="), std::string::npos);
}

}  // namespace
}  // namespace pillion::admin
