// Any bytes as a DiscoveryResponse that goes the whole way: decoded, taken by the builder into a
// configuration in force, compiled, settled; the same again, which must change nothing; then one
// that lacks half of the resources, and one that has none.  Endpoints and secrets go to their
// parsers.  Each snapshot is applied to a worker's clusters and listeners (without sockets), which
// go from one to the next as a worker's do, and dies after the next one was made.
//
// A first byte of 0xff (no tag of protobuf) stands before a DeltaDiscoveryResponse, which goes the
// same way.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "proxy/builder/builder.h"
#include "proxy/builder/settle.h"
#include "proxy/builder/snapshot_changes.h"
#include "proxy/config/node.h"
#include "proxy/core/listener.h"
#include "proxy/core/worker_context.h"
#include "proxy/io/loop.h"
#include "proxy/io/writer.h"
#include "proxy/stats/registry.h"
#include "proxy/tls/secret.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/parse.h"
#include "tests/support/ads_bootstrap.h"
#include "tests/support/xds_json.h"
#include "xds/discovery_message.h"
#include "xds/reflect.h"

using namespace pillion;

namespace {

const std::string kBootstrap =
    str(testing::ads_bootstrap(), "  listeners:\n    - ",
        testing::listener_json("fixed", 1, testing::by_rds("r"), {.stat_prefix = "m"}), "\n");

const Options& options() {
  static const Options kOptions = [] {
    Options made;
    made.config_yaml = kBootstrap;
    return made;
  }();
  return kOptions;
}

using SnapshotPtr = std::shared_ptr<const Snapshot>;

const SnapshotPtr& first() {
  static const SnapshotPtr kFirst = [] {
    const BuildResult built = run_build(options(), {}, {});
    if (built.snapshot == nullptr) std::abort();
    return built.snapshot;
  }();
  return kFirst;
}

// What a worker has, without its thread and its sockets.  In the order of Worker::apply_one().
class Applied final : private core::ListenerOwner {
 public:
  ~Applied() {
    for (auto& [name, listener] : listeners_) loop_.delete_later(std::move(listener));
    clusters_.clear();
    loop_.run_once(false);
  }

  void apply(const Snapshot* before, const Snapshot& after) {
    const SnapshotChanges changes = changes_between(before, after);
    for (const auto& change : changes.clusters) {
      if (change.after == nullptr) continue;
      clusters_.set({change.after, hosts_of(*change.after)});
      // As a request does that names it.
      if (clusters_.find(change.name) == nullptr) std::abort();
    }
    for (const auto& change : changes.listeners) {
      const std::string name(change.name);
      auto& listener = listeners_[name];
      const bool keeps_socket = listener != nullptr && change.after != nullptr &&
                                listener->config().socket_hash == change.after->socket_hash;
      if (keeps_socket) {
        listener->update(change.after);
        continue;
      }
      if (listener != nullptr) loop_.delete_later(std::move(listener));
      listeners_.erase(name);
      core::ListenerOwner& owner = *this;
      if (change.after != nullptr)
        listeners_[name] =
            std::make_unique<core::Listener>(worker_, owner, change.after, std::span<const int>());
    }
    for (const auto& change : changes.clusters)
      if (change.after == nullptr) clusters_.remove(change.name);
    loop_.run_once(false);
    if (listeners_.size() != after.listeners.size()) std::abort();
  }

 private:
  static std::shared_ptr<const upstream::HostSet> hosts_of(const upstream::ClusterConfig& config) {
    return std::make_shared<const upstream::HostSet>(config.static_hosts);
  }
  core::Listener* find_listener(const io::Address&) override { return nullptr; }
  void on_listener_empty(core::Listener&) override {}
  bool may_accept() override { return true; }
  void on_connection_count(int) override {}

  io::Loop loop_;
  io::WriteBatch batch_{loop_};
  stats::Registry registry_;
  Rng rng_{1};
  upstream::ClusterMap clusters_{upstream::ClusterContext{loop_, batch_, registry_, 0, rng_}};
  core::WorkerContext worker_{loop_, batch_, registry_, clusters_, 0, Rng(1), {}};
  std::map<std::string, std::unique_ptr<core::Listener>> listeners_;
};

std::string build(SnapshotPtr& snapshot, const xds::Response& response, bool with_endpoints) {
  BuildJob job;
  job.previous = snapshot;
  job.responses.push_back(response);
  if (with_endpoints)
    for (const auto& [name, timeout] : wanted_endpoints(*snapshot->resources))
      job.endpoints.insert(name);
  BuildResult result = run_build(options(), {}, job);
  if (result.snapshot == nullptr || result.answers.size() != 1) std::abort();
  snapshot = std::move(result.snapshot);
  return result.answers[0].wrong;
}

size_t pieces(const Snapshot& snapshot) {
  const Resources& r = *snapshot.resources;
  return r.clusters.size() + r.listeners.size() + r.routes.size() + r.extensions.size() +
         r.scopes.size() + r.virtual_hosts.size();
}

void take_thrice(xds::Response response) {
  Applied worker;
  SnapshotPtr snapshot = first();
  worker.apply(nullptr, *snapshot);
  const auto take = [&](bool with_endpoints) {
    const SnapshotPtr before = snapshot;
    std::string wrong = build(snapshot, response, with_endpoints);
    worker.apply(before.get(), *snapshot);
    return wrong;
  };
  const std::string wrong = take(false);
  const size_t count = pieces(*snapshot);
  // What is wrong stays wrong, and all else is known already.
  if (take(true).empty() != wrong.empty()) std::abort();
  if (pieces(*snapshot) != count) std::abort();
  response.resources.resize(response.resources.size() / 2);
  (void)take(true);
  response.resources.clear();
  (void)take(true);
}

void read_alone(xds::ResourceType type, const xds::Resource& resource) {
  config::Errors errors(config::UnknownFields::kCount);
  const auto document = xds::reflect(xds::message_of(type), resource.bytes, "fuzz", errors);
  if (document == nullptr || !errors.ok()) return;
  if (type == xds::ResourceType::kEndpoints) {
    (void)upstream::parse_assignment(document->root(errors));
  } else {
    std::string name;
    (void)tls::parse_secret(document->root(errors), name);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const bool is_delta = bytes.starts_with('\xff');
  if (is_delta) bytes.remove_prefix(1);
  auto decoded = is_delta ? xds::decode_delta_response(bytes) : xds::decode_response(bytes);
  if (!decoded) return 0;
  switch (decoded->type) {
    case xds::ResourceType::kClusters:
    case xds::ResourceType::kListeners:
    case xds::ResourceType::kRoutes:
    case xds::ResourceType::kExtensions:
    case xds::ResourceType::kScopedRoutes:
    case xds::ResourceType::kVirtualHosts:
    case xds::ResourceType::kRuntime:
      take_thrice(std::move(*decoded));
      break;
    case xds::ResourceType::kEndpoints:
    case xds::ResourceType::kSecrets:
      for (const xds::Resource& resource : decoded->resources) read_alone(decoded->type, resource);
      break;
  }
  return 0;
}
