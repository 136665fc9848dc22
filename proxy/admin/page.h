#pragma once
// What an admin page is, and the Router that finds it.
//
// The admin listener (server) speaks HTTP; it makes a Request of what it read, calls
// Router::handle() on the control thread and writes the Response: status, headers(), then `body`,
// then pieces of `stream` for as long as it has some, each when the one before has been sent. Pages
// are added before the listener opens; any feature may add its own.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/stats/exposition.h"

namespace pillion::admin {

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;
  std::string path;    // without query, not decoded: pages have plain names
  Pairs params;        // of the query, then of a form in the body; decoded
  std::string host;    // Host, or :authority
  std::string origin;  // Origin; browsers send it with every POST

  // `target` in origin form; `body` is read as a form if `content_type` says so.
  static Request parse(std::string_view method, std::string_view target,
                       std::string_view content_type = {}, std::string_view body = {});
  // The first value of a parameter ("" for `?usedonly`), nothing if it is not given.
  [[nodiscard]] std::optional<std::string_view> param(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const { return param(name).has_value(); }
};

inline constexpr std::string_view kText = "text/plain; charset=UTF-8";
inline constexpr std::string_view kJson = "application/json";
inline constexpr std::string_view kHtml = "text/html; charset=UTF-8";

struct Response {
  int status = 200;
  std::string_view content_type = kText;
  std::string body;
  std::unique_ptr<stats::TextSource> stream;  // follows `body`; null for none
  std::string allow;                          // Allow, of a 405

  void fail(int code, std::string text) {
    status = code;
    body = std::move(text);
  }
  // All header fields but the framing, to be sent as they are.
  [[nodiscard]] Pairs headers() const;
};

struct Param {
  std::string_view name;
  std::string_view help;
  std::vector<std::string_view> choices = {};  // empty: any text
  bool is_flag = false;                        // its presence is its value
};

struct Page {
  std::string path;
  std::string help;
  std::vector<Param> params;
  bool changes_state = false;  // wants POST
  std::function<void(const Request&, Response&)> handler;
};

class Router {
 public:
  // A second page of the same path is a bug of the caller.
  void add(Page page);
  // Admin.allow_paths: which paths are answered at all.  Without it, all.
  void allow_only(std::function<bool(std::string_view path)> allowed) {
    allowed_ = std::move(allowed);
  }
  // 404 and the list of pages for an unknown path; 405 for GET on a page that changes state; 403
  // for a POST that a browser sends for a page of another origin.
  void handle(const Request& request, Response& response) const;

  // Sorted by path.
  [[nodiscard]] const std::vector<Page>& pages() const { return pages_; }
  // The list of pages with their parameters, as /help shows it.
  [[nodiscard]] std::string help() const;

 private:
  [[nodiscard]] const Page* find(std::string_view path) const;
  std::vector<Page> pages_;
  std::function<bool(std::string_view)> allowed_;
};

// The page at "/": a table of all pages, with a form for each.
std::string index_html(const Router& router, std::string_view version);

}  // namespace pillion::admin
