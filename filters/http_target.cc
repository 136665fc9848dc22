#include "filters/http_target.h"

#include <algorithm>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/http/field_rules.h"

namespace pillion::filters {
namespace {

using config::Node;

// "https://issuer.example/keys?a=b" into authority and path.
void parse_uri(HttpTarget& out, const Node& node) {
  constexpr std::string_view kExpected = "a URL such as https://issuer.example/path";
  const std::string uri = node.as_string();
  if (uri.empty()) return;  // an error, which is recorded
  const size_t scheme = uri.find("://");
  if (scheme == std::string::npos ||
      http::known_scheme(std::string_view(uri).substr(0, scheme)).empty()) {
    return node.expected(kExpected);
  }
  const size_t begin = scheme + 3;
  const size_t end = std::min(uri.find_first_of("/?#", begin), uri.size());
  out.authority = uri.substr(begin, end - begin);
  const std::string_view target = std::string_view(uri).substr(end);
  out.path = str(target.starts_with('/') ? "" : "/", target);
  const bool is_bad = out.authority.empty() || out.authority.find('@') != std::string::npos ||
                      !http::is_target_text(out.authority) || !http::is_target_text(out.path) ||
                      out.path.find('#') != std::string::npos;
  if (is_bad) node.expected(kExpected);
}

}  // namespace

HttpTarget parse_http_target(const Node& node, const core::FilterParseContext& context) {
  HttpTarget out;
  parse_uri(out, node["uri"]);
  out.cluster = parse_cluster(node["cluster"], context);
  out.timeout = node["timeout"].as_duration();
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  return out;
}

std::string parse_header_name(const Node& node) {
  using http::HeaderId;
  std::string name = lowered(node.as_string());
  if (name.empty()) return name;  // an error, which is recorded
  if (!http::is_lower_case_token(name)) node.expected("the name of a header");
  const HeaderId id = http::find_header_id(name);
  if (http::is_connection_specific(id) || id == HeaderId::kHost || id == HeaderId::kContentLength ||
      id == HeaderId::kTe || id == HeaderId::kTrailer || id == HeaderId::kExpect) {
    node.expected("the name of a header that says nothing about framing, routing or a connection");
  }
  return name;
}

std::string parse_cluster(const Node& node, const core::FilterParseContext& context) {
  config::Located<std::string> cluster = node.located_string();
  std::string name = cluster.value;
  if (context.clusters != nullptr && !name.empty()) context.clusters->push_back(std::move(cluster));
  return name;
}

}  // namespace pillion::filters
