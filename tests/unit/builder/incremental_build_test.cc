// Builds that change a little at a time end where a build from nothing ends, whatever the order in
// which the control plane says what it says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "proxy/base/rng.h"
#include "proxy/base/str.h"
#include "proxy/builder/builder.h"
#include "proxy/builder/needs.h"
#include "proxy/builder/settle.h"
#include "tests/support/ads_bootstrap.h"
#include "tests/support/xds_json.h"
#include "xds/reflect.h"

namespace pillion::testing {
namespace {

using namespace std::chrono_literals;
using xds::ResourceType;

const std::string kBootstrap = ads_bootstrap("id: sidecar, cluster: test");

std::string encoded(ResourceType type, std::string_view json) {
  const Result<std::string> bytes = xds::encode(xds::message_of(type), json);
  EXPECT_TRUE(bytes) << bytes.error() << json;
  return bytes ? *bytes : std::string();
}

// Each by a number that its content follows from.
std::string cluster(const std::string& name, int variant) {
  if (variant % 3 == 0)
    return resource_json(name, str(R"("type":"STATIC","connect_timeout":")", variant + 1, R"(s")"));
  return resource_json(name, str(R"("type":"EDS","connect_timeout":")", variant + 1,
                                 R"(s","eds_cluster_config":{"service_name":"eds-)", variant % 4,
                                 R"(","eds_config":{"ads":{}}})"));
}
std::string routes(const std::string& name, int variant) {
  return routes_json(name, str('c', variant % 8));
}
std::string listener(const std::string& name, int variant) {
  return listener_json(name, 2000 + variant % 10, by_rds(str('r', variant % 4)),
                       {.stat_prefix = str("in-", variant % 5)});
}

using World = std::map<std::string, int>;  // name -> variant

class IncrementalBuild : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    options_.config_yaml = kBootstrap;
    file_ = run_build(options_, {}, {}).snapshot;
    ASSERT_NE(file_, nullptr);
  }

  static std::string content(ResourceType type, const std::string& name, int variant) {
    switch (type) {
      case ResourceType::kClusters:
        return cluster(name, variant);
      case ResourceType::kListeners:
        return listener(name, variant);
      default:
        return routes(name, variant);
    }
  }
  xds::Response all_of(ResourceType type, const World& world) {
    xds::Response response;
    response.type = type;
    response.version = str("v", ++versions_);
    for (const auto& [name, variant] : world)
      response.resources.push_back({name, encoded(type, content(type, name, variant)), {}});
    return response;
  }
  xds::Response delta_of(ResourceType type, const World& before, const World& after) {
    xds::Response response;
    response.type = type;
    response.is_delta = true;
    response.version = str("v", ++versions_);
    for (const auto& [name, variant] : after) {
      const auto it = before.find(name);
      // Some say again what is known.
      if (it != before.end() && it->second == variant && rng_.below(4) != 0) continue;
      response.resources.push_back(
          {name, encoded(type, content(type, name, variant)), str("own-", variant)});
    }
    for (const auto& [name, variant] : before)
      if (!after.contains(name)) response.removed.push_back(name);
    return response;
  }

  std::shared_ptr<const Snapshot> build(std::shared_ptr<const Snapshot> previous,
                                        std::vector<xds::Response> responses,
                                        const SharedNames& endpoints) {
    BuildJob job;
    job.previous = std::move(previous);
    job.responses = std::move(responses);
    job.endpoints = endpoints;
    job.now = now_;
    BuildResult result = run_build(options_, {}, job);
    wrong_.clear();
    for (const Answer& answer : result.answers) wrong_ += answer.wrong;
    return result.snapshot;
  }

  // Another variant, a new one or one less.
  World changed(World world, std::string_view prefix, uint64_t names, uint64_t variants) {
    for (uint64_t changes = 1 + rng_.below(3); changes > 0; --changes) {
      const std::string name = str(prefix, rng_.below(names));
      if (rng_.below(4) == 0) {
        world.erase(name);
      } else {
        world[name] = static_cast<int>(rng_.below(variants));
      }
    }
    return world;
  }
  // Of listeners, which must not share an address.
  static bool has_clash(const World& listeners) {
    std::set<int> ports;
    for (const auto& [name, variant] : listeners)
      if (!ports.insert(variant % 10).second) return true;
    return false;
  }

  static Names names_in(const WantedNames& wanted) {
    Names out;
    for (const auto& [name, how] : wanted) out.insert(name);
    return out;
  }
  static std::map<std::string, uint64_t> hashes(const auto& in_force) {
    std::map<std::string, uint64_t> out;
    for (const auto& config : in_force) out[std::string(config->name)] = config->hash;
    return out;
  }

  Options options_;
  std::shared_ptr<const Snapshot> file_;
  Rng rng_{11};
  Instant now_{1h};
  int versions_ = 0;
  std::string wrong_;
};

TEST_P(IncrementalBuild, EndsWhereABuildFromNothingEnds) {
  const bool is_delta = GetParam();
  for (int round = 0; round < 20; ++round) {
    World clusters, listeners, tables;
    SharedNames endpoints;
    auto snapshot = file_;
    for (int step = 0; step < 40; ++step) {
      std::vector<xds::Response> responses;
      const auto say = [&](ResourceType type, World& world, World next) {
        responses.push_back(is_delta ? delta_of(type, world, next) : all_of(type, next));
        world = std::move(next);
      };
      switch (rng_.below(5)) {
        case 0:
          say(ResourceType::kClusters, clusters, changed(clusters, "c", 8, 12));
          break;
        case 1:
          if (World next = changed(listeners, "l", 5, 40); !has_clash(next))
            say(ResourceType::kListeners, listeners, std::move(next));
          break;
        case 2: {
          // Tables are said for ever once they are; a name that is gone keeps its table.
          World next = tables;
          next[str("r", rng_.below(4))] = static_cast<int>(rng_.below(8));
          say(ResourceType::kRoutes, tables, std::move(next));
          break;
        }
        case 3:
          endpoints.insert(str("eds-", rng_.below(4)));
          break;
        default:
          now_ += 6s;
      }
      snapshot = build(snapshot, std::move(responses), endpoints);
      ASSERT_EQ(wrong_, "");
    }
    // What has waited or lingered has its end; what is not subscribed is asked for and said again.
    for (int i = 0; i < 4; ++i) endpoints.insert(str("eds-", i));
    for (int i = 0; i < 4; ++i) {
      tables.try_emplace(str("r", i), i);
      now_ += 20s;
      snapshot = build(snapshot, {all_of(ResourceType::kRoutes, tables)}, endpoints);
    }
    now_ += 20s;
    snapshot = build(snapshot, {}, endpoints);
    const auto fresh = build(
        build(file_,
              {all_of(ResourceType::kClusters, clusters),
               all_of(ResourceType::kListeners, listeners), all_of(ResourceType::kRoutes, tables)},
              endpoints),
        {}, endpoints);
    EXPECT_EQ(hashes(snapshot->clusters), hashes(fresh->clusters));
    EXPECT_EQ(hashes(snapshot->listeners), hashes(fresh->listeners));
    EXPECT_EQ(snapshot->clusters.size(), clusters.size() + 1);
    EXPECT_EQ(snapshot->listeners.size(), listeners.size());
    EXPECT_EQ(wanted_endpoints(*snapshot->resources), wanted_endpoints(*fresh->resources));
    EXPECT_EQ(wanted_routes(*snapshot->resources), wanted_routes(*fresh->resources));
    EXPECT_EQ(snapshot->resources->warming_clusters, 0U);
    EXPECT_EQ(snapshot->resources->warming_listeners, 0U);
    EXPECT_TRUE(snapshot->resources->unsettled.clusters.empty());
    EXPECT_TRUE(snapshot->resources->unsettled.routes.empty());
    EXPECT_TRUE(snapshot->resources->unsettled.listeners.empty());
  }
}

TEST_P(IncrementalBuild, FindsTheNamesThatAreNeededByWhatHasChanged) {
  World clusters, listeners;
  SharedNames endpoints;
  auto snapshot = file_;
  WantedNames eds, rds;
  EndpointNeeds endpoint_needs;
  RouteNeeds route_needs;
  (void)endpoint_needs.use({}, *file_->resources);
  (void)route_needs.use({}, *file_->resources);
  for (int step = 0; step < 300; ++step) {
    const auto before = snapshot;
    std::vector<xds::Response> responses;
    if (rng_.below(2) == 0) {
      clusters = changed(clusters, "c", 8, 12);
      responses.push_back(all_of(ResourceType::kClusters, clusters));
    } else if (World next = changed(listeners, "l", 5, 40); !has_clash(next)) {
      listeners = std::move(next);
      responses.push_back(all_of(ResourceType::kListeners, listeners));
    }
    if (rng_.below(5) == 0) endpoints.insert(str("eds-", rng_.below(4)));
    now_ += 5s;
    snapshot = build(snapshot, std::move(responses), endpoints);
    const auto follow = [](auto& names, const Names& touched, const auto& now) {
      for (const std::string& name : touched)
        if (!now.contains(name)) names.erase(name);
      for (const auto& [name, timeout] : now) names[name] = timeout;
    };
    const Resources& a = *before->resources;
    const Resources& b = *snapshot->resources;
    const Names of_clusters = endpoint_needs.use(a, b);
    follow(eds, of_clusters, endpoint_needs.wanted(b, of_clusters));
    const Names of_listeners = route_needs.use(a, b);
    follow(rds, of_listeners, route_needs.wanted(b, of_listeners));
    ASSERT_EQ(eds, wanted_endpoints(b)) << step;
    ASSERT_EQ(rds, wanted_routes(b)) << step;
    ASSERT_EQ(endpoint_needs.users(b, names_in(eds)), endpoint_users(b)) << step;
    ASSERT_EQ(route_needs.users(b, names_in(rds)), route_users(b)) << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Protocols, IncrementalBuild, ::testing::Bool(),
                         [](const auto& how) { return how.param ? "Delta" : "StateOfTheWorld"; });

class OneOfMany : public IncrementalBuild {
 protected:
  void SetUp() override {
    IncrementalBuild::SetUp();
    for (int i = 0; i < 500; ++i) clusters_[str("c", i)] = 0;
    before_ = build(file_, {all_of(ResourceType::kClusters, clusters_)}, {});
  }
  World clusters_;
  std::shared_ptr<const Snapshot> before_;
};

TEST_F(OneOfMany, LeavesTheOthersTheSameObjects) {
  World next = clusters_;
  next["c77"] = 3;
  const auto after = build(before_, {all_of(ResourceType::kClusters, next)}, {});
  std::vector<std::string> differ;
  diff(before_->resources->clusters, after->resources->clusters,
       [&differ](std::string_view name, const auto*, const auto*) { differ.emplace_back(name); });
  EXPECT_THAT(differ, ::testing::ElementsAre("c77"));
  EXPECT_EQ(after->resources->clusters_version, str("v", versions_));
  EXPECT_EQ(after->clusters.find("c77")->pool->connect_timeout, 4s);
}

TEST_F(OneOfMany, SaidAgainChangesNothingButTheVersion) {
  const auto after = build(before_, {all_of(ResourceType::kClusters, clusters_)}, {});
  int differ = 0;
  diff(before_->resources->clusters, after->resources->clusters,
       [&differ](std::string_view, const auto*, const auto*) { ++differ; });
  EXPECT_EQ(differ, 0);
  EXPECT_EQ(after->resources->clusters_version, str("v", versions_));
}

TEST_F(OneOfMany, RefusedKeepsTheVersionThatItHas) {
  const SharedText version = before_->resources->clusters_version;
  xds::Response response = all_of(ResourceType::kClusters, clusters_);
  for (xds::Resource& resource : response.resources)
    if (resource.name == "c5")
      resource.bytes = encoded(ResourceType::kClusters, R"({"name":"c5","connect_timeout":"0s"})");
  const auto after = build(before_, {response}, {});
  EXPECT_THAT(wrong_, ::testing::HasSubstr("cds/c5: connect_timeout"));
  const Piece<CompiledCluster>& piece = after->resources->clusters.find("c5")->second;
  EXPECT_EQ(piece.version, version);
  EXPECT_EQ(piece.active_version, version);
  EXPECT_TRUE(piece.error);
  EXPECT_EQ(after->resources->clusters.find("c6")->second.version, "");
  EXPECT_EQ(after->resources->clusters_version, response.version);
}

TEST_F(OneOfMany, RemovedByADeltaGoesAlone) {
  xds::Response response;
  response.type = ResourceType::kClusters;
  response.is_delta = true;
  response.removed = {"c9", "never there"};
  const auto after = build(before_, {response}, {});
  EXPECT_EQ(after->clusters.find("c9"), nullptr);
  EXPECT_EQ(after->clusters.size(), before_->clusters.size() - 1);
  EXPECT_NE(before_->clusters.find("c9"), nullptr) << "the snapshot of before is as it was";
}

}  // namespace
}  // namespace pillion::testing
