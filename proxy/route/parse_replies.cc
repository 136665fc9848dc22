// Routes that answer by themselves: redirects and direct responses.
#include <algorithm>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/route/parse_parts.h"
#include "proxy/tls/data_source.h"

namespace pillion::route {
namespace {

using config::EnumRow;
using config::Need;
using config::Node;

constexpr EnumRow kCodes[] = {{"MOVED_PERMANENTLY", 0},
                              {"FOUND", 1},
                              {"SEE_OTHER", 2},
                              {"TEMPORARY_REDIRECT", 3},
                              {"PERMANENT_REDIRECT", 4}};
constexpr uint16_t kStatus[] = {301, 302, 303, 307, 308};

// path_redirect: a path of our site, or of the host that host_redirect names.
std::string redirect_path(const Node& node) {
  std::string path = target_text(node);
  if (!path.starts_with('/')) node.expected("a path that begins with '/'");
  return path;
}

}  // namespace

std::unique_ptr<const RedirectAction> parse_redirect(const Node& node) {
  auto redirect = std::make_unique<RedirectAction>();
  const Node scheme = node.one_of({"https_redirect", "scheme_redirect"}, Need::kAtMostOne);
  if (scheme.is_present() && scheme.key().starts_with("https")) {
    if (scheme.as_bool()) redirect->scheme = "https";
  } else if (scheme.is_present()) {
    redirect->scheme = lowered(scheme.as_string_or(""));
    if (redirect->scheme != "http" && redirect->scheme != "https") {
      scheme.expected("http or https");
    }
  }
  redirect->host = target_text(node["host_redirect"]);
  redirect->port = static_cast<uint16_t>(node["port_redirect"].as_u32_or(0, 0, 65535));
  const Node path =
      node.one_of({"path_redirect", "prefix_rewrite", "regex_rewrite"}, Need::kAtMostOne);
  if (path.is_present() && path.key().starts_with("path")) {
    redirect->path = redirect_path(path);
  } else if (path.is_present() && path.key().starts_with("prefix")) {
    redirect->prefix = target_text(path);
  } else if (path.is_present()) {
    redirect->regex = match::parse_regex_rewrite(path);
  }
  const auto code = node["response_code"].as_enum_or<size_t>(0, kCodes);
  redirect->status = kStatus[std::min(code, std::size(kStatus) - 1)];
  redirect->strip_query = node["strip_query"].as_bool_or(false);
  // Without it a client would be sent where it came from.
  node.unsupported({"path_rewrite"}, "comes with a later version", config::Unknown::kAlwaysError);
  node.reject_unknown_keys();
  return redirect;
}

std::unique_ptr<const DirectResponse> parse_direct_response(const Node& node,
                                                            const ParseContext& context) {
  auto response = std::make_unique<DirectResponse>();
  response->status = static_cast<uint16_t>(node.required("status").as_u32_or(200, 200, 599));
  const Node body = node["body"];
  if (body.is_present()) response->body = tls::read_data_source(body).text;
  if (response->body.size() > context.max_direct_response_bytes) {
    body.error(str("expected a body of at most ", context.max_direct_response_bytes,
                   " bytes (max_direct_response_body_size_bytes), got ", response->body.size()));
  }
  node.unsupported({"body_format"}, "comes with a later version");
  node.reject_unknown_keys();
  return response;
}

}  // namespace pillion::route
