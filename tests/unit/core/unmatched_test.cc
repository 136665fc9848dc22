#include "proxy/core/unmatched.h"

#include <gmock/gmock.h>

#include "tests/support/log_capture.h"

namespace pillion::core {
namespace {

struct Case {
  const char* name;
  std::vector<FilterChainMatch> chains;
  Sniffed sniffed;
  std::string_view seen;
  std::string_view cause;
};

FilterChainMatch protocol(std::string name) {
  FilterChainMatch m;
  m.transport_protocol = std::move(name);
  return m;
}
FilterChainMatch server_name(std::string name) {
  FilterChainMatch m;
  m.server_names = {std::move(name)};
  return m;
}

class UnmatchedText : public ::testing::TestWithParam<Case> {};

ListenerConfig listener_of(const std::vector<FilterChainMatch>& matches) {
  ListenerConfig listener;
  listener.name = "in";
  listener.tls_inspector = true;
  for (const FilterChainMatch& m : matches) {
    auto chain = std::make_shared<FilterChain>();
    chain->match = m;
    listener.chains.push_back(std::move(chain));
  }
  return listener;
}

TEST_P(UnmatchedText, TellsWhatWasSeenAndTheLikelyCause) {
  const Unmatched text = describe_unmatched(listener_of(GetParam().chains), 80, GetParam().sniffed);
  EXPECT_EQ(text.seen, GetParam().seen);
  EXPECT_EQ(text.likely_cause, GetParam().cause);
}

INSTANTIATE_TEST_SUITE_P(
    All, UnmatchedText,
    ::testing::Values(Case{"PlainText",
                           {protocol("tls")},
                           {.first_bytes = "GET /secret HTTP/1.1"},
                           "plain text: GET /sec",
                           "a client without TLS calls a port that takes TLS only"},
                      Case{"Tls",
                           {protocol("raw_buffer")},
                           {.is_tls = true, .first_bytes = "\x16"},
                           "TLS, server name none, ALPN none",
                           "a client with TLS calls a port that takes plain text only"},
                      Case{"WrongName",
                           {server_name("a.shop")},
                           {.is_tls = true, .server_name = "b.shop", .alpn = {"h2", "http/1.1"}},
                           "TLS, server name b.shop, ALPN h2 http/1.1",
                           "no chain is for this server name, ALPN or address"},
                      Case{"NoName",
                           {server_name("a.shop")},
                           {.is_tls = true},
                           "TLS, server name none, ALPN none",
                           "the client names no server (SNI)"},
                      Case{"Silence",
                           {protocol("tls")},
                           {},
                           "nothing was sent in time",
                           "no chain is for this protocol, destination or source"},
                      Case{"Unseen",
                           {FilterChainMatch{}},
                           {},
                           "not looked at",
                           "no chain is for this protocol, destination or source"}),
    [](const auto& each) { return std::string(each.param.name); });

TEST(UnmatchedLine, NamesListenerPeerAndDestination) {
  testing::LogCapture log;
  ConnectionInfo connection;
  connection.remote = io::Address::ipv4(0x7f000001, 4711);
  connection.local = io::Address::ipv4(0x0a000001, 443);
  for (int i = 0; i < 3; ++i)
    log_unmatched(listener_of({protocol("tls")}), connection, {.first_bytes = "GET / HTTP/1.1"});
  EXPECT_THAT(log.text(),
              ::testing::HasSubstr("[warning][conn_handler] connection closed: no filter chain "
                                   "matches: listener=in peer=127.0.0.1:4711 "
                                   "destination=10.0.0.1:443 seen=\"plain text: GET / HT\" "));
  EXPECT_EQ(log.count("\n"), 1U);
}

}  // namespace
}  // namespace pillion::core
