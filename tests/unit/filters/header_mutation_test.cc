#include "tests/unit/filters/filter_fixture.h"

namespace pillion::filters {
namespace {

class HeaderMutation : public FilterTest {
 protected:
  HeaderMutation()
      : FilterTest("envoy.extensions.filters.http.header_mutation.v3.HeaderMutation") {}
  static std::string set(std::string_view name, std::string_view value,
                         std::string_view action = "OVERWRITE_IF_EXISTS_OR_ADD") {
    return str("{ append: { header: { key: ", name, ", value: '", value,
               "' }, append_action: ", action, " } }");
  }
};

struct Mutation {
  const char* name;
  std::string list;
  Fields before;
  std::string after;  // of x-a
};
class Mutations : public HeaderMutation, public ::testing::WithParamInterface<Mutation> {
 public:
  using HeaderMutation::set;
};

TEST_P(Mutations, ChangeTheRequest) {
  configure(str("{ mutations: { request_mutations: [ ", GetParam().list, " ] } }"));
  Exchange& e = exchange(GetParam().before);
  EXPECT_TRUE(e.passed);
  EXPECT_EQ(e.header("x-a"), GetParam().after);
}
INSTANTIATE_TEST_SUITE_P(
    Lists, Mutations,
    ::testing::Values(
        Mutation{"remove", "{ remove: X-A }", {{"x-a", "1"}, {"x-a", "2"}}, ""},
        Mutation{
            "append", Mutations::set("x-a", "2", "APPEND_IF_EXISTS_OR_ADD"), {{"x-a", "1"}}, "1,2"},
        Mutation{"absent", Mutations::set("x-a", "2", "ADD_IF_ABSENT"), {{"x-a", "1"}}, "1"},
        Mutation{"overwrite", Mutations::set("x-a", "2"), {{"x-a", "1"}}, "2"},
        Mutation{"only_existing", Mutations::set("x-a", "2", "OVERWRITE_IF_EXISTS"), {}, ""},
        Mutation{"operator", Mutations::set("x-a", "%REQ(X-B)%!"), {{"x-b", "b"}}, "b!"},
        // One after the other, unlike the lists of routes, whose removals come first.
        Mutation{"in_order", str(Mutations::set("x-a", "2"), ", { remove: x-a }"), {}, ""},
        Mutation{"sees_before",
                 str(Mutations::set("x-b", "n"), ", ", Mutations::set("x-a", "%REQ(X-B)%")),
                 {{"x-b", "o"}},
                 "n"},
        Mutation{"on_match",
                 "{ remove_on_match: { key_matcher: { prefix: x- } } }",
                 {{"x-a", "1"}},
                 ""}),
    [](const auto& test) { return test.param.name; });

TEST_F(HeaderMutation, ChangesTheResponse) {
  configure(str("{ mutations: { response_mutations: [ ", set("x-r", "%RESPONSE_CODE_DETAILS%"),
                " ] } }"));
  Exchange& e = exchange();
  e.info_.response_details = "via_upstream";
  e.respond(200);
  EXPECT_EQ(e.response_header("x-r"), "via_upstream");
}

TEST_F(HeaderMutation, LevelsOfTheRouteComeAfterTheFiltersOwn) {
  const auto mutations = [](std::string_view value) {
    return str("{ mutations: { request_mutations: [ ", set("x-a", value, "APPEND_IF_EXISTS_OR_ADD"),
               " ] } }");
  };
  configure(mutations("filter"));
  configure_route(mutations("route"));
  configure_host(mutations("host"));
  EXPECT_EQ(exchange().header("x-a"), "filter,route,host");
  configure(str("{ most_specific_header_mutations_wins: true, ", mutations("filter").substr(1)));
  EXPECT_EQ(exchange().header("x-a"), "filter,host,route");
}

TEST_F(HeaderMutation, WrongConfigurationsAreNamed) {
  const auto e = errors_of(
      "{ mutations: { request_mutations: [ { remove: ':path' }, { append: {} }, {}, "
      "{ regex_copy: {} } ], query_parameter_mutations: [] } }");
  EXPECT_NE(e.find("request_mutations[0].remove: expected a header other than Host"), e.npos) << e;
  EXPECT_NE(e.find("request_mutations[1].append.header: required field is missing"), e.npos) << e;
  EXPECT_NE(e.find("request_mutations[2]: "), e.npos) << e;
  EXPECT_NE(e.find("request_mutations[3].regex_copy: known to Envoy v3"), e.npos) << e;
  EXPECT_NE(e.find("query_parameter_mutations: known to Envoy v3"), e.npos) << e;
}

}  // namespace
}  // namespace pillion::filters
