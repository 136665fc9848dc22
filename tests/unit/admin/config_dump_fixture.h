#pragma once
// ConfigDumpTest: the pages about the configuration, of a server whose resources are the test's.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/admin/pages.h"
#include "tests/unit/admin/fake_server.h"

namespace pillion::admin {

using Document = std::shared_ptr<const config::Document>;

// { name: NAME, FIELD: { FIELD2: VALUE } }
inline Document named(std::string_view name) {
  config::TreeBuilder b("test");
  b.begin_mapping();
  b.key("name").string(name);
  b.end();
  return b.finish();
}

struct NoName final : stats::NameFilter {
  bool matches(std::string_view) const override { return false; }
};

class ConfigDumpTest : public testing::Test {
 protected:
  ConfigDumpTest() {
    const PageContext context{
        server_,
        server_,
        registry_,
        {},
        [this](std::string_view, std::string&) { return filter_; },
        [](std::string_view, std::string_view path) { return path == "name"; }};
    add_config_pages(router_, context);
    add_wait_pages(router_, context);
  }
  void add(ConfigResource::Kind kind, std::string_view name, bool is_dynamic = false) {
    Document document = named(name);
    const config::Value* root = &document->root_value();
    server_.resources.push_back({kind, is_dynamic, std::string(name), is_dynamic ? "7" : "",
                                 WallTime(std::chrono::seconds(1795530067)), std::move(document),
                                 root, std::nullopt});
    if (is_dynamic) server_.resources.back().client_status = ClientStatus::kAcked;
  }
  Response get(std::string_view target) {
    Response response;
    router_.handle(Request::parse("GET", target), response);
    if (response.stream != nullptr) {
      while (response.stream->next(response.body)) {
      }
    }
    return response;
  }
  std::shared_ptr<const stats::NameFilter> filter_;
  stats::Registry registry_;
  FakeServer server_;
  Router router_;
};

}  // namespace pillion::admin
