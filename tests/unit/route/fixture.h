#pragma once
// Route configurations as YAML, and requests against them.

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/config/loader.h"
#include "proxy/route/parse.h"

namespace pillion::route {

// Operators of the tests: %X% renders as "<X>", %EMPTY% as nothing.
class AngleFormats final : public FormatFactory {
 public:
  std::unique_ptr<const ValueFormat> compile(const config::Node& value) const override {
    std::string text(value.as_view_or());
    if (text.size() < 3 || !text.starts_with('%') || !text.ends_with('%')) {
      value.expected("one operator");
      return nullptr;
    }
    return std::make_unique<const Angle>(text.substr(1, text.size() - 2));
  }

 private:
  struct Angle final : ValueFormat {
    explicit Angle(std::string_view name) : text(name == "EMPTY" ? "" : str('<', name, '>')) {}
    std::string_view render(Arena& arena, const void*) const override { return arena.copy(text); }
    std::string text;
  };
};

// A table made of YAML; the test fails if it has errors.
struct Table {
  explicit Table(std::string_view yaml) {
    config::Errors errors;
    AngleFormats formats;
    const auto document = config::load_text(yaml, "rc", errors);
    routes = parse_route_table(document->root(errors), {&formats, &clusters});
    EXPECT_TRUE(errors.ok()) << errors.to_string();
    EXPECT_TRUE(errors.unfinished().empty()) << errors.unfinished().front().path;
  }
  std::vector<config::Located<std::string>> clusters;
  std::shared_ptr<const RouteTable> routes;
};

// One virtual host for all domains, with these routes (a YAML list).
inline std::string with_routes(std::string_view routes, std::string_view host_fields = {}) {
  return str("virtual_hosts: [ { name: all, domains: [ '*' ], ", host_fields,
             host_fields.empty() ? "" : ", ", "routes: ", routes, " } ]\n");
}

// The messages of a text, one a line.
inline std::string messages_of(std::string_view yaml) {
  config::Errors errors;
  const auto document = config::load_text(yaml, "rc", errors);
  if (document != nullptr) (void)parse_route_table(document->root(errors), {});
  return errors.to_string() + errors.to_string(config::Severity::kWarning);
}

struct Request {
  using Fields = std::vector<std::pair<std::string, std::string>>;
  explicit Request(std::string_view url, const Fields& fields = {}, std::string_view method = "GET")
      : head(arena) {
    const size_t slash = std::min(url.find('/'), url.size());
    head.method_text = arena.copy(method);
    head.method = http::find_method(method);
    head.authority = arena.copy(url.substr(0, slash));
    head.path = arena.copy(url.substr(slash));
    head.scheme = "http";
    for (const auto& [name, value] : fields) head.headers.add_copy(name, value);
  }
  // All values of a header, "a|b"; "-" if there is none.
  [[nodiscard]] std::string header(std::string_view name) const {
    return values(head.headers, name);
  }
  static std::string values(const http::Headers& headers, std::string_view name) {
    std::string text;
    bool any = false;
    headers.for_each_of(name, [&](const http::Field& f) {
      if (std::exchange(any, true)) text += '|';
      text += f.value;
    });
    return any ? text : "-";
  }
  Arena arena;
  http::RequestHead head;
};

}  // namespace pillion::route
