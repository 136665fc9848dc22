#include "proxy/admin/page.h"

#include <algorithm>

#include "proxy/base/ascii.h"
#include "proxy/base/assert.h"
#include "proxy/base/str.h"
#include "proxy/config/scalars.h"

namespace pillion::admin {
namespace {

// Percent-decoding of a form; what is no valid escape stays as it is.
std::string decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (const int byte = escaped_byte(text.substr(i)); byte >= 0) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

void parse_form(std::string_view form, Pairs& out) {
  while (!form.empty()) {
    const size_t end = std::min(form.find('&'), form.size());
    const std::string_view pair = form.substr(0, end);
    form.remove_prefix(std::min(end + 1, form.size()));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    out.emplace_back(decode(pair.substr(0, equals)),
                     equals < pair.size() ? decode(pair.substr(equals + 1)) : std::string());
  }
}

bool names_an_address(std::string_view host) {
  if (host.starts_with('[')) return true;
  host = host.substr(0, host.find(':'));
  return equals_ignore_case(host, "localhost") || config::is_ip_address(host);
}

// Does a browser send this for a page that came from elsewhere?  Without the check any web site
// could have its visitors stop a proxy on their machine.
bool is_cross_origin(const Request& request) {
  if (request.origin.empty()) return false;  // no browser
  const size_t scheme = request.origin.find("://");
  if (scheme == std::string::npos) return true;  // "null"
  // A name may be made to point here by whoever owns it (DNS rebinding): only addresses are ours.
  if (!names_an_address(request.host)) return true;
  return !equals_ignore_case(std::string_view(request.origin).substr(scheme + 3), request.host);
}

}  // namespace

Request Request::parse(std::string_view method, std::string_view target,
                       std::string_view content_type, std::string_view body) {
  Request request;
  request.method = method;
  target = target.substr(0, std::min(target.find('#'), target.size()));
  const size_t question = std::min(target.find('?'), target.size());
  request.path = target.substr(0, question);
  if (question < target.size()) parse_form(target.substr(question + 1), request.params);
  const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
  if (equals_ignore_case(type, "application/x-www-form-urlencoded")) {
    parse_form(body, request.params);
  }
  return request;
}

std::optional<std::string_view> Request::param(std::string_view name) const {
  for (const auto& [key, value] : params) {
    if (key == name) return value;
  }
  return std::nullopt;
}

Pairs Response::headers() const {
  Pairs out = {{"content-type", std::string(content_type)},
               {"cache-control", "no-cache, max-age=0"},
               {"x-content-type-options", "nosniff"}};
  if (content_type == kHtml) {
    out.emplace_back("content-security-policy",
                     "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
                     "base-uri 'none'; frame-ancestors 'none'");
  }
  if (!allow.empty()) out.emplace_back("allow", allow);
  return out;
}

void Router::add(Page page) {
  const auto at = std::lower_bound(pages_.begin(), pages_.end(), page,
                                   [](const Page& a, const Page& b) { return a.path < b.path; });
  ASSERT(at == pages_.end() || at->path != page.path);
  pages_.insert(at, std::move(page));
}

const Page* Router::find(std::string_view path) const {
  const auto at = std::lower_bound(pages_.begin(), pages_.end(), path,
                                   [](const Page& a, std::string_view b) { return a.path < b; });
  return at != pages_.end() && at->path == path ? &*at : nullptr;
}

void Router::handle(const Request& request, Response& response) const {
  if (allowed_ && !allowed_(request.path)) {
    return response.fail(403, "this path is not allowed by admin.allow_paths\n");
  }
  const Page* page = find(request.path);
  if (page == nullptr) return response.fail(404, "invalid path. " + help());

  const bool is_post = request.method == "POST";
  const bool is_read = request.method == "GET" || request.method == "HEAD";
  if (page->changes_state && !is_post) {
    response.allow = "POST";
    return response.fail(405, str("Method ", is_read ? request.method : "not known",
                                  is_read ? " not allowed" : "", ", POST required."));
  }
  if (!is_post && !is_read) {
    response.allow = "GET, HEAD, POST";
    return response.fail(405, "Method not allowed, GET required.");
  }
  if (page->changes_state && is_cross_origin(request)) {
    return response.fail(403, "refused: the request comes from a page of another origin\n");
  }
  page->handler(request, response);
}

std::string Router::help() const {
  std::string out = "admin commands are:\n";
  for (const Page& page : pages_) {
    out += str("  ", page.path, page.changes_state ? " (POST): " : ": ", page.help, "\n");
    for (const Param& param : page.params) {
      out += str("      ", param.name, ": ", param.help);
      for (size_t i = 0; i < param.choices.size(); ++i) {
        out += str(i == 0 ? "; One of (" : ", ", param.choices[i]);
      }
      out += param.choices.empty() ? "\n" : ")\n";
    }
  }
  return out;
}

}  // namespace pillion::admin
