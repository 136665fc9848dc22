// envoy.config.rbac.v3.Policy, Permission and Principal -> Program.
#include "filters/rbac/program.h"
#include "filters/rbac/uri_template.h"
#include "proxy/base/str.h"

namespace pillion::filters::rbac {
namespace {

using config::EnumRow;
using config::Node;
using config::Unknown;

constexpr std::string_view kLater = "comes with a later version";
constexpr std::string_view kNoCel = "CEL is not supported by Pillion";
constexpr std::string_view kMtls = "envoy.extensions.rbac.principals.mtls_authenticated.v3.Config";
constexpr std::string_view kUriTemplate =
    "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig";

}  // namespace

config::TypedConfig parse_extension(const Node& node) {
  (void)node["name"].as_string();
  config::TypedConfig config = node.required("typed_config").typed_config();
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return config;
}

uint32_t ProgramParser::begin(Op op, size_t index) {
  const auto at = static_cast<uint32_t>(program_.steps_.size());
  // A name that nobody has proven lets no ALLOW policy match, be it asked for or excluded.
  const bool if_nameless = action_ == Action::kAllow && is_negated_;
  program_.steps_.push_back({op, if_nameless, at + 1, static_cast<uint32_t>(index)});
  return at;
}

void ProgramParser::end(uint32_t at) {
  program_.steps_[at].end = static_cast<uint32_t>(program_.steps_.size());
}

bool ProgramParser::needs_request(const Node& node) const {
  if (scope_ == Scope::kRequest) return true;
  node.error("is known of HTTP requests only, not of connections");
  return false;
}

uint32_t ProgramParser::add_policy(const Node& policy, Action action) {
  action_ = action;
  is_negated_ = false;
  const uint32_t at = begin(Op::kAnd);
  add_list(Op::kOr, policy.required("permissions"), &ProgramParser::add_permission, "permission");
  add_list(Op::kOr, policy.required("principals"), &ProgramParser::add_principal, "principal");
  end(at);
  policy.unsupported({"condition", "checked_condition", "cel_config"}, kNoCel,
                     Unknown::kAlwaysError);
  policy.reject_unknown_keys(Unknown::kAlwaysError);
  return at;
}

void ProgramParser::add_list(Op op, const Node& list, Read read, std::string_view what) {
  const uint32_t at = begin(op);
  for (const Node item : list.items()) (this->*read)(item);
  end(at);
  if (list.is_sequence() && list.size() == 0) list.error(str("expected at least one ", what));
}

void ProgramParser::add_set(Op op, const Node& set, std::string_view key, Read read) {
  add_list(op, set.required(key), read, key == "rules" ? "permission" : "principal");
  set.reject_unknown_keys(Unknown::kAlwaysError);
}

void ProgramParser::add_not(const Node& node, Read read) {
  const uint32_t at = begin(Op::kNot);
  is_negated_ = !is_negated_;
  (this->*read)(node);
  is_negated_ = !is_negated_;
  end(at);
}

void ProgramParser::add_permission(const Node& node) {
  using P = ProgramParser;
  const Node rule =
      node.one_of({"and_rules", "or_rules", "any", "header", "url_path", "destination_ip",
                   "destination_port", "destination_port_range", "metadata", "not_rule",
                   "requested_server_name", "matcher", "uri_template", "sourced_metadata"});
  const auto is = [&node](std::string_view key) { return node.has(key); };
  if (is("and_rules")) {
    add_set(Op::kAnd, rule, "rules", &P::add_permission);
  } else if (is("or_rules")) {
    add_set(Op::kOr, rule, "rules", &P::add_permission);
  } else if (is("any")) {
    if (!rule.as_bool_or(true)) rule.expected("true");
    leaf(Op::kAny);
  } else if (is("header")) {
    add_header(rule);
  } else if (is("url_path")) {
    add_path(rule);
  } else if (is("destination_ip")) {
    add_cidr(Op::kDestinationIp, rule);
  } else if (is("destination_port")) {
    const uint32_t port = rule.as_u32_or(0, 0, 65535);
    add_ports(port, port + 1);
  } else if (is("destination_port_range")) {
    add_port_range(rule);
  } else if (is("metadata")) {
    add_metadata(rule);
  } else if (is("not_rule")) {
    add_not(rule, &P::add_permission);
  } else if (is("requested_server_name")) {
    add_string(Op::kServerName, rule);
  } else if (is("sourced_metadata")) {
    add_sourced_metadata(rule);
  } else if (is("uri_template")) {
    add_uri_template(rule);
  }
  node.unsupported({"matcher"}, kLater, Unknown::kAlwaysError);
  node.reject_unknown_keys(Unknown::kAlwaysError);
}

void ProgramParser::add_principal(const Node& node) {
  using P = ProgramParser;
  const Node id = node.one_of({"and_ids", "or_ids", "any", "authenticated", "source_ip",
                               "direct_remote_ip", "remote_ip", "header", "url_path", "metadata",
                               "filter_state", "not_id", "sourced_metadata", "custom"});
  const auto is = [&node](std::string_view key) { return node.has(key); };
  if (is("and_ids")) {
    add_set(Op::kAnd, id, "ids", &P::add_principal);
  } else if (is("or_ids")) {
    add_set(Op::kOr, id, "ids", &P::add_principal);
  } else if (is("any")) {
    if (!id.as_bool_or(true)) id.expected("true");
    leaf(Op::kAny);
  } else if (is("authenticated")) {
    add_authenticated(id);
  } else if (is("source_ip") || is("direct_remote_ip")) {
    // They differ behind the PROXY protocol only, which there is not; none follows x-forwarded-for.
    add_cidr(Op::kDirectRemoteIp, id);
  } else if (is("remote_ip")) {
    add_cidr(Op::kRemoteIp, id);
  } else if (is("header")) {
    add_header(id);
  } else if (is("url_path")) {
    add_path(id);
  } else if (is("metadata")) {
    add_metadata(id);
  } else if (is("filter_state")) {
    add_filter_state(id);
  } else if (is("not_id")) {
    add_not(id, &P::add_principal);
  } else if (is("sourced_metadata")) {
    add_sourced_metadata(id);
  } else if (is("custom")) {
    add_custom_principal(id);
  }
  node.reject_unknown_keys(Unknown::kAlwaysError);
}

void ProgramParser::add_string(Op op, const Node& node) {
  const size_t index = program_.strings_.size();
  program_.strings_.push_back(match::parse_string_matcher(node));
  leaf(op, index);
}

void ProgramParser::add_authenticated(const Node& node) {
  const Node name = node["principal_name"];
  // Istio's "*": any name at all, which asks for no one in particular.
  const std::string_view regex = name["safe_regex"]["regex"].raw();
  if (name.is_present() && regex != ".+" && regex != ".*") {
    add_string(Op::kPrincipal, name);
  } else {
    (void)match::parse_string_matcher(name);  // closes it
    leaf(Op::kAuthenticated);
  }
  node.reject_unknown_keys(Unknown::kAlwaysError);
}

// mtls_authenticated, the only one that Envoy has.
void ProgramParser::add_custom_principal(const Node& node) {
  static constexpr EnumRow kTypes[] = {
      {"SAN_TYPE_UNSPECIFIED", 0, "expected DNS or URI"},
      {"EMAIL", 1, "names of this type are not kept of a certificate"},
      {"DNS", 2},
      {"URI", 3},
      {"IP_ADDRESS", 4, "names of this type are not kept of a certificate"},
      {"OTHER_NAME", 5, "names of this type are not kept of a certificate"}};
  const auto [type, config] = parse_extension(node);
  if (type.empty()) return;
  if (type != kMtls) return node["typed_config"]["@type"].expected(kMtls);
  const Node san = config["san_matcher"];
  const bool wants_any = config["any_validated_client_certificate"].as_bool_or(false);
  if (wants_any == san.is_present())
    config.error("expected san_matcher or any_validated_client_certificate: true");
  if (san.is_present()) {
    const bool is_dns = san["san_type"].as_enum_or<int>(0, kTypes) == 2;
    if (san["san_type"].is_missing()) san["san_type"].error("required field is missing");
    add_string(is_dns ? Op::kDnsSan : Op::kUriSan, san.required("matcher"));
    san.unsupported({"oid"}, {}, Unknown::kAlwaysError);
    san.reject_unknown_keys(Unknown::kAlwaysError);
  } else {
    leaf(Op::kAuthenticated);
  }
  config.reject_unknown_keys(Unknown::kAlwaysError);
}

void ProgramParser::add_ports(uint32_t begin, uint32_t end) {
  const size_t index = program_.ports_.size();
  program_.ports_.push_back({begin, end});
  leaf(Op::kDestinationPort, index);
}

// envoy.type.v3.Int32Range: the end is not in it.
void ProgramParser::add_port_range(const Node& node) {
  const uint32_t begin = node["start"].as_u32_or(0, 0, 65536);
  const uint32_t end = node["end"].as_u32_or(0, 0, 65536);
  if (begin >= end) node.error("expected a start below the end");
  node.reject_unknown_keys(Unknown::kAlwaysError);
  add_ports(begin, end);
}

void ProgramParser::add_cidr(Op op, const Node& node) {
  const size_t index = program_.ranges_.size();
  program_.ranges_.push_back(match::parse_cidr(node));
  leaf(op, index);
}

void ProgramParser::add_header(const Node& node) {
  if (!needs_request(node)) return;
  const size_t index = program_.headers_.size();
  program_.headers_.push_back(match::parse_header_matcher(node));
  leaf(Op::kHeader, index);
}

// envoy.type.matcher.v3.PathMatcher.
void ProgramParser::add_path(const Node& node) {
  if (!needs_request(node)) return;
  add_string(Op::kPath, node.required("path"));
  node.reject_unknown_keys(Unknown::kAlwaysError);
}

void ProgramParser::add_uri_template(const Node& node) {
  if (!needs_request(node)) return;
  const auto [type, config] = parse_extension(node);
  if (type.empty()) return;
  if (type != kUriTemplate) return node["typed_config"]["@type"].expected(kUriTemplate);
  const Node text = config["path_template"];
  const auto regex = regex_of_template(text.as_string());
  if (!regex && text.is_scalar()) text.error(regex.error());
  auto compiled = match::Regex::compile(regex.value_or(""));
  if (!compiled) text.error(compiled.error());
  const size_t index = program_.strings_.size();
  program_.strings_.emplace_back(compiled.value_or(nullptr));
  leaf(Op::kPath, index);
  config.reject_unknown_keys(Unknown::kAlwaysError);
}

void ProgramParser::add_metadata(const Node& node) {
  const size_t index = program_.metadata_.size();
  program_.metadata_.push_back(core::parse_metadata_matcher(node));
  leaf(Op::kMetadata, index);
}

void ProgramParser::add_sourced_metadata(const Node& node) {
  static constexpr EnumRow kSources[] = {
      {"DYNAMIC", 0}, {"ROUTE", 1, "metadata of routes comes with a later version"}};
  (void)node["metadata_source"].as_enum_or<int>(0, kSources);
  add_metadata(node.required("metadata_matcher"));
  node.reject_unknown_keys(Unknown::kAlwaysError);
}

// envoy.type.matcher.v3.FilterStateMatcher; what filters leave here are texts.
void ProgramParser::add_filter_state(const Node& node) {
  const size_t index = program_.states_.size();
  Program::StateMatcher matcher;
  matcher.key = node["key"].as_string();
  (void)node.one_of({"string_match", "address_match"});
  matcher.value = match::parse_string_matcher(node["string_match"]);
  node.unsupported({"address_match"}, "filter state has no addresses here", Unknown::kAlwaysError);
  node.reject_unknown_keys(Unknown::kAlwaysError);
  program_.states_.push_back(std::move(matcher));
  leaf(Op::kFilterState, index);
}

}  // namespace pillion::filters::rbac
