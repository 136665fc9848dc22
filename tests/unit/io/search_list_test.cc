#include "proxy/io/search_list.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "proxy/base/str.h"

namespace pillion::io {
namespace {

using Names = std::vector<std::string>;

TEST(SearchList, OrdersNamesByDotsAndDomains) {
  const Names domains = {"shop.svc.cluster.local", "svc.cluster.local", "example.com."};
  const struct {
    std::string_view name;
    uint32_t ndots;
    Names expected;
  } rows[] = {
      // A trailing dot ends the search before it begins.
      {"orders.shop.", 5, {"orders.shop"}},
      {"orders",
       1,
       {"orders.shop.svc.cluster.local", "orders.svc.cluster.local", "orders.example.com",
        "orders"}},
      // Fewer dots than ndots: the domains first (Kubernetes' ndots:5) ...
      {"orders.shop",
       5,
       {"orders.shop.shop.svc.cluster.local", "orders.shop.svc.cluster.local",
        "orders.shop.example.com", "orders.shop"}},
      // ... and enough dots: the name first.
      {"orders.shop",
       1,
       {"orders.shop", "orders.shop.shop.svc.cluster.local", "orders.shop.svc.cluster.local",
        "orders.shop.example.com"}},
      {"a", 0, {"a", "a.shop.svc.cluster.local", "a.svc.cluster.local", "a.example.com"}},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(search_list(row.name, row.ndots, domains), row.expected) << row.name << row.ndots;
  }
}

TEST(SearchList, AsksForNoNameTwice) {
  EXPECT_EQ(search_list("a.b", 1, {".", "c", "c"}), (Names{"a.b", "a.b.c"}));
  EXPECT_EQ(search_list("a", 1, {}), Names{"a"});
}

TEST(Localhost, IsTheNameAndAllBelowIt) {
  for (const std::string_view name :
       {"localhost", "LocalHost.", "db.localhost", "a.b.localhost."}) {
    EXPECT_TRUE(is_localhost(name)) << name;
  }
  for (const std::string_view name : {"", "local", "mylocalhost", "localhost.com"}) {
    EXPECT_FALSE(is_localhost(name)) << name;
  }
}

TEST(HostsFile, GivesAllAddressesOfANameOnce) {
  const auto path =
      std::filesystem::path(::testing::TempDir()) / str("pillion_hosts_test_", ::getpid());
  std::ofstream(path) << "# comment\n"
                         "127.0.0.1\tlocalhost\n"
                         "10.0.0.1   orders.shop orders # the first\n"
                         "10.0.0.1 orders\r\n"
                         "fd00::1 Orders\n"
                         "not-an-ip orders\n"
                         "#10.0.0.9 orders\n"
                         "10.0.0.2\n";
  std::string found;
  for (const Address& a : find_in_hosts(path.string(), "ORDERS.")) found += a.ip_string() + ' ';
  EXPECT_EQ(found, "10.0.0.1 fd00::1 ");
  EXPECT_TRUE(find_in_hosts(path.string(), "order").empty());
  EXPECT_TRUE(find_in_hosts(path.string() + ".missing", "orders").empty());
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace pillion::io
