// The page at "/", for people: every page with what it does, a link or a button, and a field for
// each parameter.  Plain HTML: no script, nothing loaded from elsewhere.

#include "proxy/admin/html.h"
#include "proxy/admin/page.h"
#include "proxy/base/str.h"

namespace pillion::admin {
namespace {

constexpr std::string_view kHead = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pillion admin</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1c2430; background: #fff; }
h1 { font-size: 1.4rem; margin: 0; }
p.version { color: #5c6672; margin: 0 0 1.5rem; }
table { border-collapse: collapse; width: 100%; }
td { border-top: 1px solid #d9dee4; padding: .5rem .75rem .5rem 0; vertical-align: top; }
td.path { white-space: nowrap; }
form { margin: 0; }
label { display: block; color: #5c6672; font-size: .85rem; }
input[type=text], select { font: inherit; font-size: .85rem; width: 14rem; }
button { font: inherit; padding: .1rem .7rem; cursor: pointer; }
button.post { color: #8a1c1c; }
@media (prefers-color-scheme: dark) {
  body { color: #dfe5ec; background: #14181d; }
  td { border-color: #333b45; }
  p.version, label { color: #93a0ae; }
  a { color: #7db7ff; }
  button.post { color: #ff9a9a; }
}
</style>
</head>
<body>
<h1>Pillion</h1>
)";

std::string field(const Param& param) {
  const std::string name = html_escape(param.name);
  std::string out = "<label>";
  if (param.is_flag) {
    out += str("<input type=\"checkbox\" name=\"", name, "\" value=\"\"> ", name);
  } else if (param.choices.empty()) {
    out += str(name, " <input type=\"text\" name=\"", name, "\">");
  } else {
    out += str(name, " <select name=\"", name, "\">");
    for (const std::string_view choice : param.choices) {
      out += str("<option>", html_escape(choice), "</option>");
    }
    out += "</select>";
  }
  return out + str(" ", html_escape(param.help), "</label>");
}

std::string row(const Page& page) {
  const std::string path = html_escape(page.path);
  std::string out = "<tr><td class=\"path\">";
  out += page.changes_state ? path : str("<a href=\"", path, "\">", path, "</a>");
  out += str("</td><td>", html_escape(page.help), "</td><td>");
  if (page.changes_state || !page.params.empty()) {
    out += str("<form action=\"", path, "\" method=\"", page.changes_state ? "post" : "get", "\">");
    for (const Param& param : page.params) out += field(param);
    out += page.changes_state ? "<button class=\"post\">run</button>" : "<button>show</button>";
    out += "</form>";
  }
  return out + "</td></tr>\n";
}

}  // namespace

std::string index_html(const Router& router, std::string_view version) {
  std::string out(kHead);
  out += str("<p class=\"version\">", html_escape(version), "</p>\n<table>\n");
  for (const Page& page : router.pages()) {
    if (page.path != "/") out += row(page);
  }
  return out + "</table>\n</body>\n</html>\n";
}

}  // namespace pillion::admin
