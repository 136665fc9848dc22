#include "filters/jwt/requirement.h"

#include <algorithm>

namespace pillion::filters::jwt {
namespace {

using config::Node;
using config::Unknown;
using Kind = Requirement::Kind;

constexpr unsigned kMaxDepth = 16;

bool is(const Node& field, std::string_view snake, std::string_view camel) {
  return field.is_present() && (field.key() == snake || field.key() == camel);
}

void use_provider(Requirement& out, const Node& name, const Providers& providers) {
  out.kind = Kind::kProvider;
  out.provider = providers.find(name.as_string());
  if (out.provider == nullptr) {
    std::vector<std::string_view> names;
    for (const auto& provider : providers.list) names.emplace_back(provider->name);
    if (!name.raw().empty()) name.unknown_name("provider", names);
    return;
  }
  out.locations = providers.locations[out.provider->index].get();
}

Requirement parse(const Node& node, const Providers& providers, unsigned depth);

void parse_group(Requirement& out, const Node& group, const Providers& providers, unsigned depth) {
  const Node list = group.required("requirements");
  if (list.is_present() && list.is_sequence() && list.size() < 2)
    list.expected("at least two requirements");
  for (const Node item : list.items()) {
    Requirement child = parse(item, providers, depth + 1);
    // Of any, leaving out is not one more way to be let in, but says what may be wrong with the
    // others (CVE-2021-21378).
    if (out.kind == Kind::kAny && child.kind == Kind::kAllowMissing) {
      out.allows_missing = true;
    } else if (out.kind == Kind::kAny && child.kind == Kind::kAllowMissingOrFailed) {
      out.allows_failed = true;
    } else {
      out.children.push_back(std::move(child));
    }
  }
  group.reject_unknown_keys(Unknown::kAlwaysError);
  if (out.kind != Kind::kAny || !out.children.empty()) return;
  out.kind = out.allows_failed ? Kind::kAllowMissingOrFailed : Kind::kAllowMissing;
  out.locations = providers.all_locations.get();
}

Requirement parse(const Node& node, const Providers& providers, unsigned depth) {
  Requirement out;
  if (node.is_missing()) return out;
  if (depth > kMaxDepth) {
    node.error("requirements are nested too deep (at most 16 levels)");
    return out;
  }
  const Node type =
      node.one_of({"provider_name", "provider_and_audiences", "requires_any", "requires_all",
                   "allow_missing_or_failed", "allow_missing", "extract_only_without_validation"},
                  config::Need::kAtMostOne);
  node.unsupported({"extract_only_without_validation"},
                   "it would trust tokens that anybody can make", Unknown::kAlwaysError);
  if (is(type, "provider_name", "providerName")) {
    use_provider(out, type, providers);
  } else if (is(type, "provider_and_audiences", "providerAndAudiences")) {
    use_provider(out, type["provider_name"], providers);
    for (const Node item : type["audiences"].items()) out.audiences.add(item.as_string());
    // Without any, those of the provider hold (as in Envoy).
    out.has_audiences = !out.audiences.empty();
    type.reject_unknown_keys(Unknown::kAlwaysError);
  } else if (is(type, "requires_any", "requiresAny") || is(type, "requires_all", "requiresAll")) {
    out.kind = is(type, "requires_any", "requiresAny") ? Kind::kAny : Kind::kAll;
    parse_group(out, type, providers, depth);
  } else if (is(type, "allow_missing", "allowMissing") ||
             is(type, "allow_missing_or_failed", "allowMissingOrFailed")) {
    out.kind = is(type, "allow_missing", "allowMissing") ? Kind::kAllowMissing
                                                         : Kind::kAllowMissingOrFailed;
    out.locations = providers.all_locations.get();
    type.reject_unknown_keys(Unknown::kAlwaysError);
  }
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return out;
}

}  // namespace

const Provider* Providers::find(std::string_view name) const {
  const auto it = by_name.find(name);
  return it == by_name.end() ? nullptr : it->second;
}

const Provider* Providers::find_by_issuer(std::string_view issuer) const {
  const Provider* any = nullptr;
  for (const auto& provider : list) {
    if (provider->issuer == issuer) return provider.get();
    if (provider->issuer.empty() && any == nullptr) any = provider.get();
  }
  return any;
}

Requirement parse_requirement(const Node& node, const Providers& providers) {
  return parse(node, providers, 0);
}

}  // namespace pillion::filters::jwt
