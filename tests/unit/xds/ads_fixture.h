#pragma once
// A client whose server is the test: what the server says is made by protobuf itself, and what the
// client says is read by it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/config/node.h"
#include "proxy/http/grpc_frames.h"
#include "tests/support/fake_cluster_client.h"
#include "tests/support/run_until.h"
#include "xds/ads.h"
#include "xds/reflect.h"
#include "xds/value_json.h"

namespace pillion::xds {

inline constexpr std::string_view kTypes = "type.googleapis.com/";

// Resources of a message as one line: "a@1 b@2 -c =d !e" for added, removed, unchanged and in
// error.
inline std::string line_of(const Response& response) {
  std::string out = str(short_name(response.type), ' ', response.version);
  if (!response.wrong.empty()) return str(out, " wrong: ", response.wrong);
  for (const Resource& resource : response.resources)
    out += str(' ', resource.name, resource.version.empty() ? "" : "@", resource.version);
  for (const std::string& name : response.removed) out += str(" -", name);
  for (const std::string& name : response.unchanged) out += str(" =", name);
  for (const ResourceError& error : response.errors) out += str(" !", error.name);
  return out;
}

struct Recorder final : SourceObserver {
  void on_resources(Response&& response) override {
    lines.push_back(line_of(response));
    responses.push_back(std::move(response));
  }
  void on_fetch_timeout(ResourceType type, const std::set<std::string>& names) override {
    std::string line(short_name(type));
    for (const std::string& name : names) line += ' ' + name;
    timeouts.push_back(line);
  }
  void on_connected(bool connected, std::string_view cluster, std::string_view text) override {
    clusters.emplace_back(cluster);
    connections.push_back(str(connected ? "+" : "-", text));
  }
  std::vector<Response> responses;
  std::vector<std::string> lines;
  std::vector<std::string> timeouts;
  std::vector<std::string> connections;
  std::vector<std::string> clusters;  // of these
};

inline std::string any_of(ResourceType type, std::string_view name) {
  const std::string_view field = type == ResourceType::kEndpoints ? "cluster_name" : "name";
  return str(R"({"@type":")", kTypes, message_of(type), R"(",")", field, R"(":")", name, R"("})");
}

// What a server may say.  An item is "name", "name@version", "name@version;5s" (with a time to
// live), "~name@version;5s" (likewise, without a body: a heartbeat), "-name" (removed) or "!name"
// (in error).  In the state of the world only those with a time to live are wrapped.
inline std::string said(Protocol protocol, ResourceType type, std::string_view version,
                        std::string_view nonce, const std::vector<std::string>& items,
                        bool names_type = true) {
  const bool is_delta = protocol == Protocol::kDelta;
  std::string resources, removed, errors;
  const auto add = [](std::string& list, const std::string& item) {
    list += str(list.empty() ? "" : ",", item);
  };
  for (std::string_view item : items) {
    if (item.starts_with('-') || item.starts_with('!')) {
      const std::string name = str('"', item.substr(1), '"');
      item.starts_with('-') ? add(removed, name)
                            : add(errors, str(R"({"resource_name":{"name":)", name,
                                              R"(},"error_detail":{"code":5,"message":"none"}})"));
      continue;
    }
    const bool is_heartbeat = item.starts_with('~');
    if (is_heartbeat) item.remove_prefix(1);
    const std::string_view ttl = item.find(';') == item.npos ? "" : item.substr(item.find(';') + 1);
    item = item.substr(0, item.find(';'));
    const std::string_view name = item.substr(0, item.find('@'));
    const std::string_view own = item.size() == name.size() ? "" : item.substr(name.size() + 1);
    if (!is_delta && ttl.empty() && !is_heartbeat) {
      add(resources, any_of(type, name));
      continue;
    }
    std::string fields = str(R"("name":")", name, R"(","version":")", own, '"');
    if (!ttl.empty()) fields += str(R"(,"ttl":")", ttl, '"');
    if (!is_heartbeat) fields += str(R"(,"resource":)", any_of(type, name));
    add(resources, is_delta ? str('{', fields, '}')
                            : str(R"({"@type":")", kTypes,
                                  R"(envoy.service.discovery.v3.Resource",)", fields, '}'));
  }
  const std::string url = names_type ? str(kTypes, message_of(type)) : std::string();
  const Result<std::string> bytes =
      encode(is_delta ? "envoy.service.discovery.v3.DeltaDiscoveryResponse"
                      : "envoy.service.discovery.v3.DiscoveryResponse",
             str(R"({")", is_delta ? "system_version_info" : "version_info", R"(":")", version,
                 R"(","nonce":")", nonce, R"(","type_url":")", url,
                 R"(","control_plane":{"identifier":"cp"},"resources":[)", resources,
                 is_delta ? str(R"(],"removed_resources":[)", removed) : std::string(),
                 R"(],"resource_errors":[)", errors, "]}"));
  EXPECT_TRUE(bytes) << bytes.error();
  return bytes ? *bytes : std::string();
}

class AdsTest : public ::testing::Test {
 protected:
  AdsTest() {
    options.cluster = "xds";
    options.node = *encode("envoy.config.core.v3.Node", R"({"id":"me"})");
    ads.emplace(loop, rng, clusters, seen, options);
  }
  // A client with the options as they are now, started.
  void begin() {
    ads.reset();
    clusters.calls.clear();
    ads.emplace(loop, rng, clusters, seen, options);
    ads->start();
    clusters.last().head();
  }

  // The requests since the last call, each as a line: "node cds v=v1 [a,b] nonce=n1 error=text";
  // of delta "node cds +[a] -[b] has=[a@1] nonce=n1 error=text".
  std::vector<std::string> requests() {
    std::vector<std::string> out;
    http::GrpcFrames frames(1 << 24);
    const std::string sent = std::exchange(clusters.last().sent, {});
    EXPECT_EQ(frames.feed(sent,
                          [&](std::string_view message) {
                            out.push_back(line_of_request(message));
                            return true;
                          }),
              nullptr);
    return out;
  }
  void receive(const std::string& message) { clusters.last().data(http::grpc_frame(message)); }
  void server_says(ResourceType type, std::string_view version, std::string_view nonce,
                   const std::vector<std::string>& items) {
    receive(said(options.protocol, type, version, nonce, items));
  }
  // Until the next try of a stream.
  void wait_for_call(size_t count) {
    for (int i = 0; i < 100 && clusters.calls.size() < count; ++i)
      loop.skip(std::chrono::seconds(1));
    ASSERT_EQ(clusters.calls.size(), count);
  }

  io::Loop loop;
  Rng rng{1};
  ::pillion::testing::FakeClusterClient clusters;
  Recorder seen;
  AdsOptions options;
  std::optional<AdsClient> ads;

 private:
  static std::string list_of(const config::Node& list) {
    std::string out;
    for (const config::Node item : list.items()) out += str(out.empty() ? "" : ",", item.raw());
    return out;
  }

  std::string line_of_request(std::string_view message) const {
    const bool is_delta = options.protocol == Protocol::kDelta;
    config::Errors errors;
    const auto document = reflect(is_delta ? "envoy.service.discovery.v3.DeltaDiscoveryRequest"
                                           : "envoy.service.discovery.v3.DiscoveryRequest",
                                  message, "request", errors);
    EXPECT_TRUE(document != nullptr && errors.ok()) << errors.to_string();
    if (document == nullptr) return "unreadable";
    const config::Node root = document->root(errors);
    std::string out = root["node"]["id"].raw() == "me" ? "node " : "";
    const std::string_view url = root["type_url"].raw();
    for (const ResourceType type : kAllTypes) {
      if (url == str(kTypes, message_of(type))) out += short_name(type);
    }
    const auto add = [&out](std::string_view label, std::string_view text) {
      if (!text.empty()) out += str(' ', label, text);
    };
    const auto add_list = [&](std::string_view label, const config::Node& list) {
      if (list.size() != 0) out += str(' ', label, '[', list_of(list), ']');
    };
    add("v=", root["version_info"].raw());
    add_list("", root["resource_names"]);
    add_list("+", root["resource_names_subscribe"]);
    add_list("-", root["resource_names_unsubscribe"]);
    std::string versions;
    for (const config::Entry entry : root["initial_resource_versions"].entries())
      versions += str(versions.empty() ? "" : ",", entry.key, '@', entry.node.raw());
    if (!versions.empty()) out += str(" has=[", versions, ']');
    add("nonce=", root["response_nonce"].raw());
    add("error=", root["error_detail"]["message"].raw());
    return out;
  }
};

}  // namespace pillion::xds
