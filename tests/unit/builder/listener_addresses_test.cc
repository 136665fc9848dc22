// Which addresses listeners may have: the machine's word is asked before one is accepted, nobody
// takes what another one still has, and many refusals cost no more than many listeners.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "proxy/builder/keep_waiting.h"
#include "proxy/builder/listen_addresses.h"
#include "proxy/builder/listener_moves.h"
#include "tests/support/build_test.h"
#include "tests/support/sockets.h"

namespace pillion::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kNoRoutes =
    R"("route_config":{"name":"own","virtual_hosts":[{"name":"v","domains":["*"]}]})";

std::string listener(std::string_view name, int port) {
  return listener_json(name, port, kNoRoutes);
}
// It waits for the table "r".
std::string by_rds(std::string_view name, int port) {
  return listener_json(name, port, R"("rds":{"route_config_name":"r","config_source":{"ads":{}}})");
}

class ListenerAddresses : public XdsBuildTest {
 protected:
  void SetUp() override {
    XdsBuildTest::SetUp();
    note_ours();
  }
  // As control does it: what is in force listens.
  void note_ours() {
    if (!tries_) return;
    auto ours = std::make_shared<OurAddresses>();
    for (const auto& l : snapshot->listeners) ours->add(*l);
    job.ours = std::move(ours);
  }
  std::string say_listeners(const std::vector<Said>& listeners) {
    std::string wrong = say(Type::kListeners, listeners);
    note_ours();
    return wrong;
  }
  // name -> port, of those in force.
  [[nodiscard]] std::map<std::string, int> in_force() const {
    std::map<std::string, int> out;
    for (const auto& l : snapshot->listeners) out[l->name] = l->address.port();
    return out;
  }
  using InForce = std::map<std::string, int>;

  static int free_port() {
    const Fd free = loopback_listener();
    return local_address_of(free.get()).port();
  }

  bool tries_ = true;  // addresses, of the machine
  int free_ = free_port();
  Fd taken_ = loopback_listener();
  int port_ = local_address_of(taken_.get()).port();
};

TEST_F(ListenerAddresses, ThatAnotherProcessHasRefuseThatListenerAlone) {
  const std::string wrong =
      say_listeners({{"a", listener("a", port_)}, {"b", listener("b", free_)}});
  EXPECT_THAT(wrong, AllOf(HasSubstr("lds/a: address: cannot bind 127.0.0.1:"),
                           HasSubstr("Address already in use")));
  EXPECT_EQ(in_force(), (InForce{{"b", free_}}));
  const auto& a = snapshot->resources->listeners.find("a")->second;
  ASSERT_TRUE(a.error);
  EXPECT_THAT(a.error->details, HasSubstr("cannot bind"));
}

TEST_F(ListenerAddresses, ThatCannotBeHadLeaveTheListenerWhereItIs) {
  EXPECT_EQ(say_listeners({{"a", listener("a", free_)}}), "");
  EXPECT_THAT(say_listeners({{"a", listener("a", port_)}}), HasSubstr("lds/a: address: cannot"));
  EXPECT_EQ(in_force(), (InForce{{"a", free_}}));
  taken_.reset();
  EXPECT_EQ(say_listeners({{"a", listener("a", port_)}}), "");
  EXPECT_EQ(in_force(), (InForce{{"a", port_}}));
}

TEST_F(ListenerAddresses, OfOurOwnAreNotTried) {
  // Our own sockets listen there, which a try could not tell from another process's.
  auto ours = std::make_shared<OurAddresses>();
  core::ListenerConfig there;
  there.name = "former";
  there.address = io::Address::ipv4(INADDR_LOOPBACK, static_cast<uint16_t>(port_));
  ours->add(there);
  job.ours = ours;
  EXPECT_EQ(say(Type::kListeners, {{"a", listener("a", port_)}}), "");
  EXPECT_EQ(in_force(), (InForce{{"a", port_}}));
}

TEST_F(ListenerAddresses, OfAPortThatTheKernelChoseAreNobodyElses) {
  OurAddresses ours;
  core::ListenerConfig any;
  any.address = io::Address::ipv4(INADDR_LOOPBACK, 0);
  ours.add(any);
  EXPECT_EQ(ours.find(any.address), nullptr);
}

TEST_F(ListenerAddresses, OfStoppedListenersAreNotTried) {
  job.stopped_listeners = StoppedListeners::kAll;
  EXPECT_EQ(say_listeners({{"a", listener("a", port_)}}), "");
}

TEST_F(ListenerAddresses, WithoutReusePortCannotBeBoundAnew) {
  const auto alone = [this](int backlog) {
    std::string json = listener("a", free_);
    json.insert(1, str(R"("enable_reuse_port":false,"tcp_backlog_size":)", backlog, ","));
    return json;
  };
  EXPECT_EQ(say_listeners({{"a", alone(10)}}), "");
  EXPECT_THAT(say_listeners({{"a", alone(20)}}),
              HasSubstr(str("lds/a: address: cannot bind 127.0.0.1:", free_, " anew")));
}

TEST_F(ListenerAddresses, AreNotTriedAgainForOneThatWasAccepted) {
  // It waits for its routes; who has the port meanwhile is asked when it starts.
  taken_.reset();
  EXPECT_EQ(say_listeners({{"a", by_rds("a", port_)}}), "");
  taken_ =
      Fd(*io::open_listener(io::Address::ipv4(INADDR_LOOPBACK, static_cast<uint16_t>(port_)), {}));
  std::string changed = by_rds("a", port_);
  changed.insert(1, R"("stat_prefix":"changed",)");
  EXPECT_EQ(say_listeners({{"a", changed}}), "");
}

TEST_F(ListenerAddresses, OfAFileRefuseTheReloadAtTheirPlace) {
  std::string with = ads_bootstrap("id: n, cluster: c", "DELTA_GRPC");
  with += str("  listeners:\n    - ", listener("s", port_), "\n");
  options.config_yaml = with;
  job.previous = snapshot;
  job.reads_files = true;
  BuildResult result = run_build(options, {}, job);
  EXPECT_EQ(result.snapshot, nullptr);
  EXPECT_THAT(result.messages,
              AllOf(HasSubstr("static_resources.listeners[0].address: cannot bind 127.0.0.1:"),
                    HasSubstr("in use")));
  job.ours = nullptr;
  EXPECT_NE(run_build(options, {}, job).snapshot, nullptr)
      << "who only checks a file tries nothing";
}

TEST_F(ListenerAddresses, OfAUnixSocketAreTriedAndLeaveNoFile) {
  const std::filesystem::path path =
      std::filesystem::path(::testing::TempDir()) / str("pillion-try-", ::getpid());
  const io::Address address = io::Address::unix_path(path.string());
  EXPECT_TRUE(try_address(address, {}));
  EXPECT_FALSE(std::filesystem::exists(path));
  std::ofstream(path) << "not a socket";
  const Status<> tried = try_address(address, {});
  ASSERT_FALSE(tried);
  EXPECT_THAT(tried.error(), HasSubstr("cannot bind"));
  EXPECT_TRUE(std::filesystem::exists(path)) << "what is not ours stays";
  std::filesystem::remove(path);
}

// ---- who waits ----

class AddressesOfOurs : public ListenerAddresses {
 protected:
  AddressesOfOurs() { tries_ = false; }
};

TEST_F(AddressesOfOurs, ThatAnotherOneStillHasAreWaitedFor) {
  EXPECT_EQ(say_listeners({{"a", listener("a", 11)}}), "");
  // a moves away, but waits for its routes.
  EXPECT_EQ(say_listeners({{"a", by_rds("a", 12)}, {"b", listener("b", 11)}}), "");
  EXPECT_EQ(in_force(), (InForce{{"a", 11}})) << "two would share the port's clients";
  EXPECT_EQ(snapshot->resources->warming_listeners, 0u) << "the start does not wait for an address";
  EXPECT_EQ(say(Type::kRoutes, {{"r", routes_json("r", "xds")}}), "");
  EXPECT_EQ(in_force(), (InForce{{"a", 12}, {"b", 11}}));
}

TEST_F(AddressesOfOurs, AreFreeWhenTheirListenerIsRemoved) {
  EXPECT_EQ(say_listeners({{"a", listener("a", 11)}}), "");
  EXPECT_EQ(say_listeners({{"a", by_rds("a", 12)}, {"b", listener("b", 11)}}), "");
  EXPECT_EQ(say_listeners({{"b", listener("b", 11)}}), "");
  EXPECT_EQ(in_force(), (InForce{{"b", 11}}));
}

TEST_F(AddressesOfOurs, AreSwappedInOneUpdate) {
  EXPECT_EQ(say_listeners({{"a", listener("a", 11)}, {"b", listener("b", 12)}}), "");
  EXPECT_EQ(say_listeners({{"a", listener("a", 12)}, {"b", listener("b", 11)}}), "");
  EXPECT_EQ(in_force(), (InForce{{"a", 12}, {"b", 11}}));
}

TEST_F(AddressesOfOurs, OfARingMoveTogetherWhenTheLastOneIsReady) {
  const auto all = [this](auto&& last, int a, int b, int c) {
    return say_listeners({{"a", listener("a", a)}, {"b", listener("b", b)}, {"c", last("c", c)}});
  };
  EXPECT_EQ(all(listener, 11, 12, 13), "");
  EXPECT_EQ(all(by_rds, 12, 13, 11), "");
  EXPECT_EQ(in_force(), (InForce{{"a", 11}, {"b", 12}, {"c", 13}}));
  EXPECT_EQ(say(Type::kRoutes, {{"r", routes_json("r", "xds")}}), "");
  EXPECT_EQ(in_force(), (InForce{{"a", 12}, {"b", 13}, {"c", 11}}));
}

TEST_F(AddressesOfOurs, ThatCouldNotBeHadHoldTheirListenerAlone) {
  EXPECT_EQ(say_listeners({{"a", listener("a", 11)}, {"b", listener("b", 12)}}), "");
  const auto before = snapshot;
  // Accepted, but when its sockets were opened somebody had 13.
  EXPECT_EQ(say(Type::kListeners, {{"a", listener("a", 13)}, {"b", listener("b", 14)}}), "");
  auto next = std::make_shared<Snapshot>(*snapshot);
  const uint64_t tried = snapshot->listeners.find("a")->socket_hash;
  keep_waiting(*next, {"a"}, *before, false);
  snapshot = next;
  EXPECT_EQ(in_force(), (InForce{{"a", 11}, {"b", 14}}));
  const auto& piece = snapshot->resources->listeners.find("a")->second;
  EXPECT_TRUE(piece.waits());
  EXPECT_EQ(piece.active_version, "v1");
  job.held_listeners = {{"a", tried}};
  EXPECT_EQ(say(Type::kClusters, {}), "");
  EXPECT_EQ(in_force()["a"], 11) << "another build does not start it";
  EXPECT_EQ(say(Type::kListeners, {{"a", listener("a", 15)}, {"b", listener("b", 14)}}), "");
  EXPECT_EQ(in_force()["a"], 15) << "another address may be free";
}

TEST_F(AddressesOfOurs, ThatAreFreeAgainLetTheListenerStart) {
  EXPECT_EQ(say_listeners({{"a", listener("a", 11)}}), "");
  const auto before = snapshot;
  EXPECT_EQ(say(Type::kListeners, {{"a", listener("a", 13)}}), "");
  auto next = std::make_shared<Snapshot>(*snapshot);
  keep_waiting(*next, {"a"}, *before, false);
  snapshot = next;
  (void)build();
  EXPECT_EQ(in_force()["a"], 13);
}

TEST(ListenerMoves, WaitForWhoStaysAndForWhoWaitsForHim) {
  std::vector<core::ListenerConfig> configs(8);
  const auto config = [&configs](size_t i, std::string name, uint16_t port) {
    configs[i].name = std::move(name);
    configs[i].address = io::Address::ipv4(INADDR_LOOPBACK, port);
    return &configs[i];
  };
  const std::vector<ListenerMove> moves = {{config(0, "a", 1), config(1, "a", 2), false},
                                           {config(2, "b", 3), config(3, "b", 1), true},
                                           {config(4, "c", 4), config(5, "c", 3), true},
                                           {config(6, "d", 5), config(7, "d", 4), true}};
  EXPECT_THAT(blocked_moves(moves), ElementsAre("b", "c", "d"));
  EXPECT_THAT(blocked_moves(std::vector<ListenerMove>{moves[1], moves[2]}), IsEmpty());
}

// ---- clashes ----

TEST_F(AddressesOfOurs, OfManyAreRefusedOneByOneWithTheirOwner) {
  EXPECT_EQ(say_listeners({{"a", listener("a", 11)}, {"b", listener("b", 12)}}), "");
  // b comes second to a; it goes back to 12, which c has taken, which goes as well.
  const std::string wrong =
      say_listeners({{"a", listener("a", 11)}, {"b", listener("b", 11)}, {"c", listener("c", 12)}});
  EXPECT_EQ(wrong,
            "lds/b: address: listener \"a\" listens on 127.0.0.1:11 already\n"
            "lds/c: address: listener \"b\" listens on 127.0.0.1:12 already\n");
  EXPECT_EQ(in_force(), (InForce{{"a", 11}, {"b", 12}}));
}

TEST_F(AddressesOfOurs, OfWhoComesEarlierByNameAreLostToWhoGoesBack) {
  EXPECT_EQ(say_listeners({{"m", listener("m", 11)}, {"z", listener("z", 12)}}), "");
  // a takes the address that m leaves, but m cannot leave: z has the other one.
  const std::string wrong =
      say_listeners({{"a", listener("a", 11)}, {"m", listener("m", 12)}, {"z", listener("z", 12)}});
  EXPECT_EQ(wrong,
            "lds/m: address: listener \"z\" listens on 127.0.0.1:12 already\n"
            "lds/a: address: listener \"m\" listens on 127.0.0.1:11 already\n");
  EXPECT_EQ(in_force(), (InForce{{"m", 11}, {"z", 12}}));
}

TEST_F(AddressesOfOurs, ThatThousandsClaimAreRefusedInTheTimeOfThousands) {
  const auto time_of = [this](int listeners, bool clash) {
    std::vector<Said> said;
    for (int i = 0; i < listeners; ++i) {
      const std::string name = str("l", i);
      said.push_back({name, listener(name, clash ? 11 : 1000 + i)});
    }
    add(Type::kListeners, said);
    const Instant began = MonotonicClock::now();
    const std::string wrong = build();
    const Duration took = MonotonicClock::now() - began;
    EXPECT_EQ(std::ranges::count(wrong, '\n'), clash ? listeners - 1 : 0);
    return took;
  };
  const Duration all_taken = time_of(3000, false);
  // A look at all for each that is refused would be a thousand times as long.
  EXPECT_LT(time_of(3000, true), 20 * all_taken + 1s);
}

TEST_F(AddressesOfOurs, AreTakenBackAsKeysOfScopesAre) {
  const auto scope = [](const std::string& name, std::string_view key) {
    return Said{name, str(R"({"name":")", name, R"(","route_configuration_name":"r",)",
                          R"("key":{"fragments":[{"string_key":")", key, R"("}]}})")};
  };
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 0, by_srds())}), "");
  EXPECT_EQ(say(Type::kScopedRoutes, {scope("m", "1"), scope("z", "2")}), "");
  EXPECT_EQ(say(Type::kScopedRoutes, {scope("a", "1"), scope("m", "2"), scope("z", "2")}),
            "srds/m: key: is already that of the scope \"z\"\n"
            "srds/a: key: is already that of the scope \"m\"\n");
}

TEST_F(AddressesOfOurs, KeysOfScopesThatThousandsClaimLikewise) {
  std::vector<Said> said;
  for (int i = 0; i < 3000; ++i) {
    const std::string name = str("s", i);
    said.push_back({name, str(R"({"name":")", name, R"(","route_configuration_name":"r",)",
                              R"("key":{"fragments":[{"string_key":"one"}]}})")});
  }
  const Instant began = MonotonicClock::now();
  const std::string wrong = say(Type::kScopedRoutes, said);
  EXPECT_LT(MonotonicClock::now() - began, 5s);
  EXPECT_EQ(std::ranges::count(wrong, '\n'), 2999);
}

}  // namespace
}  // namespace pillion::testing
