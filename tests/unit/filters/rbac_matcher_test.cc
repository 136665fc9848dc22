// The matcher form of RBAC policies.
#include <vector>

#include "tests/unit/filters/rbac_fixture.h"

namespace pillion::filters::rbac {
namespace {

std::string action(std::string_view name, std::string_view what) {
  return str(
      "{ action: { name: a, typed_config: { '@type': "
      "type.googleapis.com/envoy.config.rbac.v3.Action, name: ",
      name, ", action: ", what, " } } }");
}
std::string input(std::string_view type, std::string_view fields = "") {
  return str("{ name: i, typed_config: { '@type': type.googleapis.com/", type,
             fields.empty() ? "" : ", ", fields, " } }");
}
std::string network(std::string_view type) {
  return input(str("envoy.extensions.matching.common_inputs.network.v3.", type));
}
std::string ssl(std::string_view type) {
  return input(str("envoy.extensions.matching.common_inputs.ssl.v3.", type));
}
std::string header(std::string_view name) {
  return input("envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
               str("header_name: '", name, "'"));
}
std::string is(const std::string& of, std::string_view value) {
  return str("{ single_predicate: { input: ", of, ", value_match: ", value, " } }");
}
std::string no(const std::string& predicate) { return str("{ not_matcher: ", predicate, " }"); }
std::string field(const std::string& predicate, const std::string& then) {
  return str("{ predicate: ", predicate, ", on_match: ", then, " }");
}
std::string list(const std::string& fields, const std::string& otherwise = "") {
  return str("{ matcher_list: { matchers: [ ", fields, " ] }",
             otherwise.empty() ? "" : str(", on_no_match: ", otherwise), " }");
}
std::string map(std::string_view kind, const std::string& of, const std::string& entries,
                const std::string& otherwise = "") {
  return str("{ matcher_tree: { input: ", of, ", ", kind, ": { map: { ", entries, " } } }",
             otherwise.empty() ? "" : str(", on_no_match: ", otherwise), " }");
}

class RbacMatcherTest : public RbacTest {
 protected:
  // The action's name, with a '!' if it denies; "" if none matched.
  std::string outcome(const std::string& yaml) {
    const auto made = engine(yaml, "matcher");
    const Verdict verdict = made->judge(facts());
    return str(verdict.allowed ? "" : "!", made->policy_name(verdict.policy));
  }
  bool holds(const std::string& predicate) {
    return outcome(list(field(predicate, action("yes", "ALLOW")))) == "yes";
  }
};

TEST_F(RbacMatcherTest, EachInputGivesItsFact) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {network("DestinationIPInput"), "10.0.0.7"},
      {network("DestinationPortInput"), "'8080'"},
      {network("SourceIPInput"), "10.1.2.3"},
      {network("SourcePortInput"), "'5000'"},
      {network("DirectSourceIPInput"), "192.168.0.9"},
      {network("ServerNameInput"), "users.mesh"},
      {ssl("UriSanInput"), "'spiffe://mesh.local/ns/shop/sa/customer'"},
      {ssl("DnsSanInput"), "b.example"},
      {ssl("SubjectInput"), "'CN=customer,O=shop'"},
      {header(":method"), "GET"},
      {header(":path"), "'/users/7?x=/admin'"},
      {header("host"), "'shop.local:80'"},
      {header("x-a"), "'2'"},
  };
  for (const auto& [of, value] : rows) {
    EXPECT_TRUE(holds(is(of, str("{ exact: ", value, " }")))) << of;
    EXPECT_FALSE(holds(is(of, "{ exact: nothing }"))) << of;
    EXPECT_TRUE(holds(no(is(of, "{ exact: nothing }")))) << of;
  }
}

TEST_F(RbacMatcherTest, TheFirstFieldThatMatchesCounts) {
  const std::string get = is(header(":method"), "{ exact: GET }");
  const std::string post = is(header(":method"), "{ exact: POST }");
  const std::string yes = action("yes", "ALLOW"), never = action("never", "DENY");
  EXPECT_EQ(outcome(list(field(get, yes) + ", " + field(get, never))), "yes");
  EXPECT_EQ(outcome(list(field(post, yes) + ", " + field(get, never))), "!never");
  EXPECT_EQ(outcome(list(field(post, yes))), "!") << "nothing matched";
  EXPECT_EQ(outcome(list(field(post, never), yes)), "yes");
  EXPECT_EQ(outcome("{}"), "!");
  EXPECT_EQ(outcome(str("{ on_no_match: ", yes, " }")), "yes");
}

TEST_F(RbacMatcherTest, PredicatesAreCombined) {
  const std::string yes = is(header(":method"), "{ prefix: G }");
  const std::string never = is(header(":method"), "{ suffix: X }");
  const auto all = [](const std::string& a, const std::string& b) {
    return str("{ and_matcher: { predicate: [ ", a, ", ", b, " ] } }");
  };
  const auto any = [](const std::string& a, const std::string& b) {
    return str("{ or_matcher: { predicate: [ ", a, ", ", b, " ] } }");
  };
  EXPECT_TRUE(holds(all(yes, yes)));
  EXPECT_FALSE(holds(all(yes, never)));
  EXPECT_TRUE(holds(any(never, yes)));
  EXPECT_FALSE(holds(any(never, never)));
  EXPECT_TRUE(holds(no(all(yes, never))));
  EXPECT_FALSE(holds(no(no(never))));
}

TEST_F(RbacMatcherTest, AnAddressIsComparedWithRanges) {
  const auto in = [](const std::string& of, std::string_view range) {
    return str("{ single_predicate: { input: ", of, ", custom_match: ",
               input("envoy.extensions.matching.input_matchers.ip.v3.Ip",
                     str("stat_prefix: a, cidr_ranges: [ { address_prefix: ", range,
                         ", prefix_len: 8 } ]")),
               " } }");
  };
  EXPECT_TRUE(holds(in(network("SourceIPInput"), "10.0.0.0")));
  EXPECT_FALSE(holds(in(network("SourceIPInput"), "192.0.0.0")));
  EXPECT_TRUE(holds(in(network("DirectSourceIPInput"), "192.0.0.0")));
  EXPECT_NE(errors_of(list(field(in(network("ServerNameInput"), "10.0.0.0"), action("a", "ALLOW"))),
                      "matcher"),
            "");
}

TEST_F(RbacMatcherTest, MapsAreLookedUp) {
  const std::string entries =
      str("/users/: ", action("users", "ALLOW"), ", /users/7: ", action("seven", "DENY"),
          ", /: ", action("root", "ALLOW"));
  EXPECT_EQ(outcome(map("prefix_match_map", header(":path"), entries)), "!seven") << "the longest";
  head.path = "/users/8";
  EXPECT_EQ(outcome(map("prefix_match_map", header(":path"), entries)), "users");
  head.path = "/a";
  EXPECT_EQ(outcome(map("prefix_match_map", header(":path"), entries)), "root");
  EXPECT_EQ(outcome(map("exact_match_map", header(":path"), entries)), "!");
  head.path = "/users/7";
  EXPECT_EQ(outcome(map("exact_match_map", header(":path"), entries)), "!seven");
  EXPECT_EQ(outcome(map("exact_match_map", header("x-none"), entries, action("else", "ALLOW"))),
            "else");
}

// A branch that leads nowhere is as if it had not matched.
TEST_F(RbacMatcherTest, BranchesMayLeadNowhere) {
  const std::string get = is(header(":method"), "{ exact: GET }");
  const std::string nowhere =
      str("{ matcher: ", list(field(no(get), action("deep", "ALLOW"))), " }");
  EXPECT_EQ(outcome(list(field(get, nowhere) + ", " + field(get, action("next", "ALLOW")))),
            "next");
  EXPECT_EQ(outcome(map("prefix_match_map", header(":path"),
                        str("/users: ", nowhere, ", /: ", action("root", "ALLOW")))),
            "root");
}

// Joined by a comma "admin" would hide behind "user".
TEST_F(RbacMatcherTest, EachValueOfARepeatedHeaderIsLookedAt) {
  head.headers.add("x-role", "user");
  head.headers.add("x-role", "admin");
  const std::string role = header("x-role");
  EXPECT_EQ(outcome(list(field(is(role, "{ exact: admin }"), action("admins", "DENY")),
                         action("else", "ALLOW"))),
            "!admins");
  EXPECT_FALSE(holds(no(is(role, "{ exact: admin }"))));
  const std::string user = str("user: ", action("users", "ALLOW"));
  const std::string admin = str("admin: ", action("admins", "DENY"));
  EXPECT_EQ(outcome(map("exact_match_map", role, str(user, ", ", admin))), "!admins");
  EXPECT_EQ(outcome(map("exact_match_map", role, user)), "!") << "admin is nowhere allowed";
  EXPECT_EQ(outcome(map("exact_match_map", role, user, action("else", "DENY"))), "!else");
  EXPECT_EQ(outcome(map("exact_match_map", role, user, action("else", "ALLOW"))), "users");
}

TEST_F(RbacMatcherTest, ANegatedNameAdmitsNoNamelessPeer) {
  const std::string not_x = no(is(ssl("UriSanInput"), "{ exact: x }"));
  const std::string allows = list(field(not_x, action("yes", "ALLOW")));
  const std::string denies = list(field(not_x, action("never", "DENY")), action("else", "ALLOW"));
  EXPECT_EQ(outcome(allows), "yes");
  EXPECT_EQ(outcome(denies), "!never");
  peer.verified = false;
  EXPECT_EQ(outcome(allows), "!");
  EXPECT_EQ(outcome(denies), "!never");
  EXPECT_FALSE(holds(is(ssl("UriSanInput"), "{ prefix: spiffe }")));
  connection.identity = nullptr;
  EXPECT_EQ(outcome(allows), "!");
  EXPECT_EQ(outcome(denies), "!never");
}

// He may be who is denied, and what is allowed there is not for him.
TEST_F(RbacMatcherTest, ADenialBelowANegatedNameHoldsForTheNameless) {
  const std::string uri = ssl("UriSanInput");
  const std::string not_x = no(is(uri, "{ exact: x }"));
  const auto below = [](const std::string& branch) { return str("{ matcher: ", branch, " }"); };
  const auto path = [](std::string_view text, const std::string& then) {
    return field(is(header(":path"), str("{ prefix: ", text, " }")), then);
  };
  const std::string yes = action("yes", "ALLOW"), admin = action("admin", "DENY");
  const std::string otherwise = action("else", "ALLOW");
  const std::string guard = below(list(path("/admin", admin)));
  const std::string guard_and_door =
      below(list(path("/admin", admin) + ", " + path("/users", yes)));
  const std::string deeper = below(list(field(not_x, guard)));
  const std::string mapped =
      below(map("prefix_match_map", header(":path"), str("/admin: ", admin, ", /users: ", yes)));
  const auto both = [&](const std::string& predicate) {
    return str("{ and_matcher: { predicate: [ ", is(header(":method"), "{ exact: GET }"), ", ",
               predicate, " ] } }");
  };
  const std::string trees[] = {
      list(field(not_x, guard), otherwise),
      list(field(not_x, guard_and_door), otherwise),
      list(field(not_x, deeper), otherwise),
      list(field(not_x, mapped), otherwise),
      list(field(both(not_x), guard), otherwise),
      list(field(no(no(not_x)), guard), otherwise),
      list(field(not_x, guard) + ", " + path("/", otherwise)),
      list(field(not_x, guard_and_door) + ", " + path("/", otherwise), action("never", "DENY")),
  };
  for (const std::string& tree : trees) {
    connection.identity = &peer;
    head.path = "/admin/1";
    EXPECT_EQ(outcome(tree), "!admin") << "somebody else than x: " << tree;
    certificate.uri_sans = {"x"};
    EXPECT_EQ(outcome(tree), "else") << "x: " << tree;
    certificate.uri_sans = {"spiffe://mesh.local/ns/shop/sa/customer"};
    connection.identity = nullptr;
    EXPECT_EQ(outcome(tree), "!admin") << "nobody: " << tree;
    head.path = "/users/7";
    EXPECT_EQ(outcome(tree), "else") << "nobody, and no denial: " << tree;
  }
}

TEST_F(RbacMatcherTest, ALogActionAllowsAndLeavesItsHint) {
  const std::string get = is(header(":method"), "{ exact: GET }");
  const auto made =
      engine(list(field(get, action("log", "LOG")), action("else", "ALLOW")), "matcher");
  EXPECT_EQ(made->judge(facts()).log_hint, true);
  EXPECT_TRUE(made->judge(facts()).allowed);
  head.method_text = "POST";
  EXPECT_EQ(made->judge(facts()).log_hint, false);
  EXPECT_EQ(engine(list(field(get, action("a", "ALLOW"))), "matcher")->judge(facts()).log_hint,
            std::nullopt);
}

TEST_F(RbacMatcherTest, WhatRbacDoesNotTakeIsRefusedByName) {
  const std::string yes = action("yes", "ALLOW");
  const auto refuses = [&](const std::string& yaml, std::string_view error, Scope scope) {
    const std::string found = errors_of(yaml, "matcher", scope);
    EXPECT_NE(found.find(error), std::string::npos) << yaml << '\n' << found;
  };
  const auto predicate = [&](const std::string& of) {
    return list(field(is(of, "{ exact: a }"), yes));
  };
  constexpr Scope kRequest = Scope::kRequest;
  refuses(predicate(input("xds.type.matcher.v3.HttpAttributesCelMatchInput")),
          "is not supported for RBAC", kRequest);
  refuses(predicate(header("content-length")), "cannot be matched here", kRequest);
  refuses(predicate(header(":status")), "expected :method", kRequest);
  refuses(predicate(header("x")), "is known of HTTP requests only", Scope::kConnection);
  refuses(list(field(is(header("x"), "{ exact: a }"),
                     "{ action: { name: a, typed_config: { '@type': "
                     "type.googleapis.com/acme.Action } } }")),
          "expected envoy.config.rbac.v3.Action", kRequest);
  refuses(list(field(is(header("x"), "{ exact: a }"), "{ keep_matching: true, matcher: {} }")),
          "keep_matching: known to Envoy v3", kRequest);
  refuses(map("exact_match_map", header("x"), ""), "expected at least one entry", kRequest);
  refuses("{ matcher_list: { matchers: [] } }", "expected at least one matcher", kRequest);
  refuses(
      list(field(str("{ or_matcher: { predicate: [ ", is(header("x"), "{ exact: a }"), " ] } }"),
                 yes)),
      "expected at least two predicates", kRequest);
}

}  // namespace
}  // namespace pillion::filters::rbac
