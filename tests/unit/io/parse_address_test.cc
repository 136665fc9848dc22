#include "proxy/io/parse_address.h"

#include <gtest/gtest.h>

#include "proxy/config/loader.h"

namespace pillion::io {
namespace {

struct Parsed {
  explicit Parsed(std::string_view text)
      : document(config::load_text(text, "f.yaml", errors)), root(document->root(errors)) {}
  std::string messages() const { return errors.to_string(); }
  config::Errors errors;
  config::DocumentPtr document;
  config::Node root;
};

TEST(ParseAddress, ReadsIpAddressesAndPipes) {
  const struct {
    const char* text;
    const char* expected;
  } rows[] = {
      {"socket_address: { address: 10.0.0.1, port_value: 80 }", "10.0.0.1:80"},
      {"socket_address: { protocol: TCP, address: '::', port_value: 65535 }", "[::]:65535"},
      {"socketAddress: { address: 0.0.0.0, portValue: 0, ipv4_compat: false }", "0.0.0.0:0"},
      {"pipe: { path: /run/a.sock }", "unix:/run/a.sock"},
      {"pipe: { path: '@hidden' }", "unix:@hidden"},
  };
  for (const auto& row : rows) {
    Parsed p(row.text);
    EXPECT_EQ(parse_address(p.root).to_string(), row.expected);
    EXPECT_EQ(p.messages(), "") << row.text;
  }
}

TEST(ParseAddress, GivesTheModeOfAPipe) {
  uint32_t mode = 7;
  Parsed p("pipe: { path: /run/a.sock, mode: 432 }");
  EXPECT_EQ(parse_address(p.root, &mode).path(), "/run/a.sock");
  EXPECT_EQ(mode, 0660U);
  EXPECT_EQ(p.messages(), "");
}

TEST(ParseAddress, RefusesWhatItCannotListenOn) {
  const std::string long_path(108, 'x');
  const struct {
    std::string text;
    const char* expected;
  } rows[] = {
      {"socket_address: { address: users, port_value: 80 }",
       "f.yaml:1:28: socket_address.address: expected an IP address, got users\n"},
      {"socket_address: { address: 10.0.0.1 }", "port_value"},
      {"socket_address: { port_value: 80 }", "socket_address.address: "},
      {"socket_address: { address: 10.0.0.1, port_value: 65536 }", "0-65535"},
      {"socket_address: { address: 10.0.0.1, named_port: http }", "named_port"},
      {"socket_address: { address: 10.0.0.1, port_value: 1, resolver_name: x }", "resolver_name"},
      {"socket_address: { address: 10.0.0.1, port_value: 1, protocol: UDP }", "only TCP"},
      {"socket_address: { address: '::', port_value: 1, ipv4_compat: true }",
       "add a listener on 0.0.0.0"},
      {"socket_address: { address: 10.0.0.1%1, port_value: 1 }", "expected an IP address"},
      {"pipe: { path: " + long_path + " }", "expected a path of at most 107 bytes"},
      {"pipe: { mode: 0 }", "pipe.path"},
      {"pipe: { path: /a, mode: 512 }", "0-511"},
      {"envoy_internal_address: { server_listener_name: x }", "envoy_internal_address"},
      {"{}", "socket_address"},
      {"socket_address: { address: 1.2.3.4, port_value: 1 }\npipe: { path: /a }", "pipe"},
      {"socket_address: { address: 1.2.3.4, port_value: 1, prt: 1 }", "prt"},
  };
  for (const auto& row : rows) {
    Parsed p(row.text);
    static_cast<void>(parse_address(p.root));
    EXPECT_NE(p.messages().find(row.expected), std::string::npos) << row.text << "\n"
                                                                  << p.messages();
    EXPECT_EQ(p.errors.unfinished().size(), 0U) << row.text;
  }
}

TEST(ParseAddress, LetsAnEndpointHaveAName) {
  Parsed name("socket_address: { address: orders.shop.svc, port_value: 8080 }");
  const EndpointAddress by_name = parse_endpoint_address(name.root);
  EXPECT_EQ(by_name.name, "orders.shop.svc");
  EXPECT_EQ(by_name.port, 8080);
  EXPECT_EQ(by_name.ip.kind(), Address::Kind::kNone);
  Parsed ip("socket_address: { address: 10.0.0.1, port_value: 8080 }");
  const EndpointAddress by_ip = parse_endpoint_address(ip.root);
  EXPECT_EQ(by_ip.ip.to_string(), "10.0.0.1:8080");
  EXPECT_EQ(by_ip.name, "");
  EXPECT_EQ(by_ip.port, 8080);
  Parsed pipe("pipe: { path: /run/app.sock }");
  EXPECT_EQ(parse_endpoint_address(pipe.root).ip.to_string(), "unix:/run/app.sock");
  EXPECT_EQ(name.messages() + ip.messages() + pipe.messages(), "");
  Parsed bad("socket_address: { address: 'no name', port_value: 1 }");
  static_cast<void>(parse_endpoint_address(bad.root));
  EXPECT_EQ(bad.messages(),
            "f.yaml:1:28: socket_address.address: expected an IP address or a DNS name, got \"no "
            "name\"\n");
}

TEST(ParseTcpKeepalive, IsOnWhenPresentUnlessAValueIsZero) {
  const auto parse = [](std::string_view text) {
    Parsed p(text);
    const SocketOptions options = parse_tcp_keepalive(p.root["tcp_keepalive"]);
    EXPECT_EQ(p.messages(), "") << text;
    return options;
  };
  EXPECT_FALSE(parse("other: 1").keepalive);
  EXPECT_TRUE(parse("tcp_keepalive: {}").keepalive);
  EXPECT_FALSE(parse("tcp_keepalive: { keepalive_time: 0 }").keepalive);
  const SocketOptions all =
      parse("tcp_keepalive: { keepalive_probes: 3, keepalive_time: 60, keepalive_interval: 5 }");
  EXPECT_TRUE(all.keepalive);
  EXPECT_EQ(all.keepalive_probes, 3U);
  EXPECT_EQ(all.keepalive_time_s, 60U);
  EXPECT_EQ(all.keepalive_interval_s, 5U);
  Parsed bad("tcp_keepalive: { keepalive_probes: 128, keepalive_tme: 1 }");
  static_cast<void>(parse_tcp_keepalive(bad.root["tcp_keepalive"]));
  EXPECT_EQ(bad.errors.error_count(), 2U) << bad.messages();
}

}  // namespace
}  // namespace pillion::io
