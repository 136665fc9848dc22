#include <gtest/gtest.h>

#include "proxy/cli/capture.h"

namespace pillion::cli {
namespace {

constexpr const char* kDefaultRules = R"(table inet pillion
delete table inet pillion
table inet pillion {
  chain inbound {
    type nat hook prerouting priority -100; policy accept;
    tcp dport { 15000, 15001, 15006, 15020, 15021, 15090 } accept
    meta l4proto tcp redirect to :15006
  }
  chain outbound {
    type nat hook output priority -100; policy accept;
    oifname "lo" ip saddr 127.0.0.6 accept comment "sidecar to its app"
    oifname "lo" ip6 saddr ::6 accept comment "sidecar to its app"
    oifname "lo" tcp dport { 15000, 15001, 15006, 15020, 15021, 15090 } accept
    oifname "lo" meta skuid 1337 ip daddr != 127.0.0.0/8 meta l4proto tcp redirect to :15006 comment "sidecar to its own pod"
    oifname "lo" meta skuid 1337 ip6 daddr != ::1 meta l4proto tcp redirect to :15006 comment "sidecar to its own pod"
    meta skuid 1337 accept comment "the sidecar itself"
    oifname "lo" accept comment "the app to its own pod"
    ip daddr 127.0.0.0/8 accept
    ip6 daddr ::1 accept
    meta l4proto tcp redirect to :15001
  }
}
)";

TEST(CaptureRules, DefaultsAreIstiosPortsAndUid) {
  EXPECT_EQ(capture_rules(CaptureOptions{}), kDefaultRules);
}

TEST(CaptureRules, EveryOptionReachesEachRuleThatNamesIt) {
  CaptureOptions options;
  options.uid = 2102;
  options.inbound_port = 4143;
  options.outbound_port = 4140;
  options.own_ports = {4191};
  EXPECT_EQ(capture_rules(options), R"(table inet pillion
delete table inet pillion
table inet pillion {
  chain inbound {
    type nat hook prerouting priority -100; policy accept;
    tcp dport { 4191 } accept
    meta l4proto tcp redirect to :4143
  }
  chain outbound {
    type nat hook output priority -100; policy accept;
    oifname "lo" ip saddr 127.0.0.6 accept comment "sidecar to its app"
    oifname "lo" ip6 saddr ::6 accept comment "sidecar to its app"
    oifname "lo" tcp dport { 4191 } accept
    oifname "lo" meta skuid 2102 ip daddr != 127.0.0.0/8 meta l4proto tcp redirect to :4143 comment "sidecar to its own pod"
    oifname "lo" meta skuid 2102 ip6 daddr != ::1 meta l4proto tcp redirect to :4143 comment "sidecar to its own pod"
    meta skuid 2102 accept comment "the sidecar itself"
    oifname "lo" accept comment "the app to its own pod"
    ip daddr 127.0.0.0/8 accept
    ip6 daddr ::1 accept
    meta l4proto tcp redirect to :4140
  }
}
)");
}

TEST(CaptureRules, WithoutOwnPortsThereIsNoEmptySet) {
  // nft refuses `{ }`.
  CaptureOptions options;
  options.own_ports.clear();
  EXPECT_EQ(capture_rules(options).find("dport"), std::string::npos);
}

TEST(CaptureRules, ApplyingReplacesTheTableInOneTransaction) {
  // `delete` fails without a table: the line before makes one.
  std::string removal = capture_removal();
  EXPECT_EQ(removal, "table inet pillion\ndelete table inet pillion\n");
  EXPECT_TRUE(capture_rules(CaptureOptions{}).starts_with(removal));
}

TEST(CaptureRules, IptablesForIpv4SaysTheSame) {
  EXPECT_EQ(capture_iptables_rules(CaptureOptions{}, IpFamily::kIpv4, true), R"(*nat
:PILLION_INBOUND - [0:0]
:PILLION_OUTPUT - [0:0]
-A PILLION_INBOUND -p tcp -m multiport --dports 15000,15001,15006,15020,15021,15090 -j RETURN
-A PILLION_INBOUND -p tcp -j REDIRECT --to-ports 15006
-A PILLION_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN
-A PILLION_OUTPUT -o lo -p tcp -m multiport --dports 15000,15001,15006,15020,15021,15090 -j RETURN
-A PILLION_OUTPUT -o lo ! -d 127.0.0.0/8 -p tcp -m owner --uid-owner 1337 -j REDIRECT --to-ports 15006
-A PILLION_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A PILLION_OUTPUT -o lo -j RETURN
-A PILLION_OUTPUT -d 127.0.0.0/8 -j RETURN
-A PILLION_OUTPUT -p tcp -j REDIRECT --to-ports 15001
-A PREROUTING -p tcp -j PILLION_INBOUND
-A OUTPUT -p tcp -j PILLION_OUTPUT
COMMIT
)");
}

TEST(CaptureRules, IptablesForIpv6NamesIpv6Addresses) {
  std::string rules = capture_iptables_rules(CaptureOptions{}, IpFamily::kIpv6, true);
  EXPECT_NE(rules.find("-o lo -s ::6/128 -j RETURN\n"), std::string::npos);
  EXPECT_NE(rules.find("! -d ::1/128 -p tcp"), std::string::npos);
  EXPECT_EQ(rules.find("127.0.0"), std::string::npos);
}

TEST(CaptureRules, IptablesHooksAreLeftOutWhereTheyAreInPlace) {
  // Restore appends: a second jump would stay behind at removal.
  std::string rules = capture_iptables_rules(CaptureOptions{}, IpFamily::kIpv4, false);
  EXPECT_EQ(rules.find("-A PREROUTING"), std::string::npos);
  EXPECT_EQ(rules.find("-A OUTPUT"), std::string::npos);
}

TEST(CaptureOptionsCheck, AcceptsTheDefaults) {
  EXPECT_TRUE(check_capture_options(CaptureOptions{}));
}

TEST(CaptureOptionsCheck, RefusesWhatCannotWork) {
  CaptureOptions same_port;
  same_port.outbound_port = same_port.inbound_port;
  EXPECT_EQ(check_capture_options(same_port).error(),
            "the inbound and the outbound port must differ");

  CaptureOptions root;
  root.uid = 0;
  EXPECT_EQ(check_capture_options(root).error(),
            "the sidecar's uid must not be 0: everything that root sends would escape");

  CaptureOptions port_zero;
  port_zero.own_ports = {0};
  EXPECT_EQ(check_capture_options(port_zero).error(), "a port of the sidecar must be 1-65535");

  CaptureOptions too_many;
  too_many.own_ports.assign(16, 15000);
  EXPECT_EQ(check_capture_options(too_many).error(),
            "at most 15 ports of the sidecar can be named");
}

}  // namespace
}  // namespace pillion::cli
