// xds.type.matcher.v3.Matcher -> MatchTree, with the inputs and actions that Envoy's RBAC takes.
#include <algorithm>

#include "filters/rbac/match_tree.h"
#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"

namespace pillion::filters::rbac {
namespace {

using config::Node;
using config::Unknown;

constexpr std::string_view kLater = "comes with a later version";
constexpr std::string_view kAction = "envoy.config.rbac.v3.Action";
constexpr std::string_view kIp = "envoy.extensions.matching.input_matchers.ip.v3.Ip";

// What the codec takes out of a head: never a header there.
constexpr std::string_view kTakenOut[] = {
    "connection", "content-length",    "expect",           "keep-alive",
    "te",         "transfer-encoding", "proxy-connection", "upgrade"};
constexpr std::string_view kPseudo[] = {":authority", ":method", ":path", ":scheme"};

}  // namespace

class MatchTreeParser {
 public:
  MatchTreeParser(MatchTree& tree, Scope scope) : tree_(tree), scope_(scope) {}

  void parse_branch(MatchTree::Branch& out, const Node& node) {
    const Node how = node.one_of({"matcher_list", "matcher_tree"}, config::Need::kAtMostOne);
    if (node.has("matcher_list")) {
      const Node list = how.required("matchers");
      for (const Node item : list.items()) parse_field(out.fields.emplace_back(), item);
      if (list.is_sequence() && list.size() == 0) list.error("expected at least one matcher");
      how.reject_unknown_keys(Unknown::kAlwaysError);
    } else if (node.has("matcher_tree")) {
      parse_map(out, how);
    }
    if (const Node otherwise = node["on_no_match"]; otherwise.is_present())
      out.otherwise = parse_on_match(otherwise);
    node.reject_unknown_keys(Unknown::kAlwaysError);
  }

 private:
  using Input = MatchTree::Input;
  using Predicate = MatchTree::Predicate;

  void parse_field(MatchTree::Field& out, const Node& node) {
    out.then = parse_on_match(node.required("on_match"));
    out.predicate = parse_predicate(node.required("predicate"));
    node.reject_unknown_keys(Unknown::kAlwaysError);
  }

  MatchTree::OnMatch parse_on_match(const Node& node) {
    MatchTree::OnMatch out;
    const Node to = node.one_of({"matcher", "action"});
    if (node.has("matcher")) {
      out.branch = std::make_unique<MatchTree::Branch>();
      parse_branch(*out.branch, to);
    } else if (node.has("action")) {
      const auto [type, action] = parse_extension(to);
      if (!type.empty() && type != kAction) to["typed_config"]["@type"].expected(kAction);
      if (type == kAction) out.leaf = add_leaf(action);
    }
    if (node["keep_matching"].as_bool_or(false))
      node.unsupported({"keep_matching"}, kLater, Unknown::kAlwaysError);
    node.reject_unknown_keys(Unknown::kAlwaysError);
    return out;
  }

  uint32_t add_leaf(const Node& node) {
    MatchTree::Leaf leaf;
    leaf.name = node["name"].as_string();
    leaf.action = node["action"].as_enum_or(Action::kAllow, kActions);
    node.reject_unknown_keys(Unknown::kAlwaysError);
    tree_.leaves_.push_back(std::move(leaf));
    return static_cast<uint32_t>(tree_.leaves_.size() - 1);
  }

  Predicate parse_predicate(const Node& node) {
    Predicate out;
    const Node how = node.one_of({"single_predicate", "or_matcher", "and_matcher", "not_matcher"});
    if (node.has("single_predicate")) {
      parse_single(out, how);
    } else if (node.has("not_matcher")) {
      out.kind = Predicate::Kind::kNot;
      is_negated_ = !is_negated_;
      out.parts.push_back(parse_predicate(how));
      is_negated_ = !is_negated_;
    } else if (how.is_present()) {
      out.kind = node.has("and_matcher") ? Predicate::Kind::kAnd : Predicate::Kind::kOr;
      const Node list = how.required("predicate");
      for (const Node item : list.items()) out.parts.push_back(parse_predicate(item));
      if (list.is_sequence() && list.size() < 2) list.error("expected at least two predicates");
      how.reject_unknown_keys(Unknown::kAlwaysError);
    }
    node.reject_unknown_keys(Unknown::kAlwaysError);
    return out;
  }

  void parse_single(Predicate& out, const Node& node) {
    out.kind = Predicate::Kind::kValue;
    out.is_negated = is_negated_;
    out.input = parse_input(node.required("input"));
    const Node how = node.one_of({"value_match", "custom_match"});
    if (node.has("custom_match")) {
      parse_custom(out, how);
    } else {
      out.value = match::parse_string_matcher(how);
    }
    node.reject_unknown_keys(Unknown::kAlwaysError);
  }

  static void parse_custom(Predicate& out, const Node& node) {
    const auto [type, config] = parse_extension(node);
    if (type.empty()) return;
    if (type != kIp) {
      node["typed_config"].error(
          str("\"", config::printable(type), "\" is not supported (", kIp, " is)"));
      return;
    }
    using Kind = Input::Kind;
    const bool is_address = out.input.kind == Kind::kDestinationIp ||
                            out.input.kind == Kind::kSourceIp ||
                            out.input.kind == Kind::kDirectSourceIp;
    if (!is_address) node.error("needs an input that is an IP address");
    out.kind = Predicate::Kind::kIp;
    const Node ranges = config.required("cidr_ranges");
    for (const Node range : ranges.items()) out.ranges.push_back(match::parse_cidr(range));
    config.ignore({"stat_prefix"});  // Envoy counts unparsable addresses there
    config.reject_unknown_keys(Unknown::kAlwaysError);
  }

  void parse_map(MatchTree::Branch& out, const Node& node) {
    out.is_map = true;
    out.input = parse_input(node.required("input"));
    const Node how = node.one_of({"exact_match_map", "prefix_match_map", "custom_match"});
    node.unsupported({"custom_match"}, kLater, Unknown::kAlwaysError);
    out.is_prefix = node.has("prefix_match_map");
    if (how.is_present() && !node.has("custom_match")) {
      const Node map = how.required("map");
      for (const config::Entry entry : map.entries())
        out.map.emplace_back(std::string(entry.key), parse_on_match(entry.node));
      if (map.is_mapping() && map.size() == 0) map.error("expected at least one entry");
      how.reject_unknown_keys(Unknown::kAlwaysError);
    }
    std::ranges::sort(out.map, {}, [](const auto& entry) { return std::string_view(entry.first); });
    node.reject_unknown_keys(Unknown::kAlwaysError);
  }

  Input parse_input(const Node& node) {
    using Kind = Input::Kind;
    struct Row {
      std::string_view type;
      Kind kind;
    };
#define NETWORK "envoy.extensions.matching.common_inputs.network.v3."
#define SSL "envoy.extensions.matching.common_inputs.ssl.v3."
    static constexpr Row kRows[] = {
        {NETWORK "DestinationIPInput", Kind::kDestinationIp},
        {NETWORK "DestinationPortInput", Kind::kDestinationPort},
        {NETWORK "SourceIPInput", Kind::kSourceIp},
        {NETWORK "SourcePortInput", Kind::kSourcePort},
        {NETWORK "DirectSourceIPInput", Kind::kDirectSourceIp},
        {NETWORK "ServerNameInput", Kind::kServerName},
        {SSL "UriSanInput", Kind::kUriSan},
        {SSL "DnsSanInput", Kind::kDnsSan},
        {SSL "SubjectInput", Kind::kSubject},
        {"envoy.type.matcher.v3.HttpRequestHeaderMatchInput", Kind::kHeader},
    };
#undef SSL
#undef NETWORK
    const auto [type, config] = parse_extension(node);
    Input out;
    if (type.empty()) return out;
    const auto* row = std::ranges::find(kRows, type, &Row::type);
    if (row == std::end(kRows)) {
      node["typed_config"].error(
          str("input \"", config::printable(type), "\" is not supported for RBAC"));
      return out;
    }
    out.kind = row->kind;
    if (out.kind == Kind::kHeader) parse_header_input(out, config);
    config.reject_unknown_keys(Unknown::kAlwaysError);
    return out;
  }

  void parse_header_input(Input& out, const Node& config) {
    const Node name = config["header_name"];
    out.header = lowered(name.as_string());
    if (scope_ == Scope::kConnection)
      config.error("is known of HTTP requests only, not of connections");
    if (std::ranges::find(kTakenOut, out.header) != std::end(kTakenOut)) {
      name.error(str("\"", out.header, "\" belongs to the connection and cannot be matched here"));
    } else if (out.header.starts_with(':') &&
               std::ranges::find(kPseudo, out.header) == std::end(kPseudo)) {
      name.expected(":method, :path, :authority or :scheme");
    }
  }

  MatchTree& tree_;
  const Scope scope_;
  bool is_negated_ = false;  // an odd number of times, of the predicate that is read
};

MatchTree::MatchTree(const Node& node, Scope scope) {
  MatchTreeParser(*this, scope).parse_branch(root_, node);
}

}  // namespace pillion::filters::rbac
