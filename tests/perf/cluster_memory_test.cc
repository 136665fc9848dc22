// What a cluster with ten endpoints costs that nobody calls (issue 7: 4 KB for all of it; here are
// its configuration, its endpoints, what discovery knows and its metrics).  The allocator is asked
// before and after.
#include <gtest/gtest.h>

#include <string>

#include "proxy/base/str.h"
#include "proxy/discovery/discovery.h"
#include "proxy/upstream/cluster_map.h"
#include "tests/support/heap_bytes.h"
#include "tests/unit/upstream/fixture.h"

namespace pillion::discovery {
namespace {

class ClusterMemory : public ::testing::Test, private DiscoveryObserver {
 protected:
  static constexpr uint32_t kClusters = 1000;
  static constexpr uint32_t kEndpoints = 10;

  static std::string name_of(uint32_t i) {
    return str("outbound|8080||service-", i, ".namespace.svc.cluster.local");
  }
  static upstream::Endpoints endpoints_of(uint32_t i) {
    upstream::Endpoints out(kEndpoints);
    for (uint32_t e = 0; e < kEndpoints; ++e) {
      out[e].address = io::Address::ipv4(0x0a000000 + i * 16 + e, 8080);
      out[e].locality = SharedValue<upstream::Locality>(upstream::Locality{"region", "zone", ""});
    }
    return out;
  }
  void add(uint32_t i) {
    discovery_.set_endpoints(name_of(i), endpoints_of(i));
    discovery_.add(upstream::cluster_of(str("{ name: '", name_of(i),
                                            "', type: EDS, connect_timeout: 3s, "
                                            "eds_cluster_config: { eds_config: { ads: {} } } }")));
  }

  void on_hosts(std::string_view, const upstream::HostSetPtr&) override {}
  void on_warm() override {}

  io::Loop loop_;
  io::Resolver resolver_{loop_, io::Resolver::Options{}};
  stats::Registry registry_;
  Rng rng_{7};
  Discovery discovery_{{loop_, resolver_, registry_, rng_}, *this};
};

TEST_F(ClusterMemory, OfOneThatNobodyCallsIsSmall) {
  for (uint32_t i = 0; i < 3; ++i) add(i);
  discovery_.commit();
  const size_t before = testing::heap_bytes();
  for (uint32_t i = 3; i < kClusters + 3; ++i) add(i);
  discovery_.commit();
  const size_t each = (testing::heap_bytes() - before) / kClusters;
  printf("%zu bytes\n", each);
  RecordProperty("bytes_each", static_cast<int>(each));
  EXPECT_LE(each, 2200u);
  EXPECT_EQ(discovery_.hosts(name_of(7))->hosts.size(), kEndpoints);
}

}  // namespace
}  // namespace pillion::discovery
