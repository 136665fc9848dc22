// Sockets of a change are opened one listener after the other, past those that fail; who fails is
// tried again, later and later.
#include <gmock/gmock.h>

#include "proxy/bound_listeners.h"
#include "proxy/socket_opener.h"
#include "proxy/unbound_listeners.h"
#include "tests/support/run_until.h"
#include "tests/support/sockets.h"

namespace pillion::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

std::shared_ptr<core::ListenerConfig> listener(const std::string& name, io::Address address) {
  auto made = std::make_shared<core::ListenerConfig>();
  made->name = name;
  made->address = address;
  made->socket_hash = address.hash();
  return made;
}
io::Address loopback(uint16_t port = 0) { return io::Address::ipv4(INADDR_LOOPBACK, port); }

class SocketOpening : public ::testing::Test {
 protected:
  void add(const std::string& name, io::Address address) {
    update.new_listeners.push_back({listener(name, address), {}});
  }
  void close_kept() {
    for (const auto& added : update.new_listeners) close_listen_sockets({{}, added.sockets});
  }
  std::vector<std::string> names() {
    std::vector<std::string> out;
    for (const auto& added : update.new_listeners) out.push_back(added.config->name);
    return out;
  }
  WorkerUpdate update;
  Fd taken = loopback_listener();
  const OurAddresses nobodys;
};

TEST_F(SocketOpening, GoesOnPastFailuresAndOpensEachListenerOnce) {
  add("a", loopback());
  add("b", local_address_of(taken.get()));
  add("c", loopback());
  add("d", local_address_of(taken.get()));
  SocketOpener opener(update, 2, nobodys, StoppedListeners::kNone);
  int calls = 0;
  while (opener.open_next()) ++calls;
  EXPECT_EQ(calls, 4) << "one each, whatever fails";
  ASSERT_EQ(opener.failures().size(), 2u);
  EXPECT_EQ(opener.failures()[0].listener->name, "b");
  EXPECT_THAT(opener.failures()[1].reason, HasSubstr("Address already in use"));
  update.removed_listeners = {"b", "x"};
  opener.leave_out({"b", "d"});
  EXPECT_THAT(names(), ElementsAre("a", "c"));
  EXPECT_THAT(update.removed_listeners, ElementsAre("x")) << "what b had stays";
  const auto addresses = opener.keep();
  ASSERT_EQ(addresses.size(), 2u);
  EXPECT_NE(addresses[1][0].port(), 0);
  ASSERT_EQ(update.new_listeners[1].sockets.size(), 2u);
  EXPECT_EQ(local_address_of(update.new_listeners[1].sockets[1][0]), addresses[1][0]);
  close_kept();
}

TEST_F(SocketOpening, MayShareAPortWithOneForAllAddresses) {
  const uint16_t port = local_address_of(taken.get()).port();
  taken.reset();
  add("all", io::Address::ipv4(INADDR_ANY, port));
  add("one", loopback(port));
  SocketOpener opener(update, 2, nobodys, StoppedListeners::kNone);
  while (opener.open_next()) {
  }
  EXPECT_THAT(opener.failures(), IsEmpty()) << "the kernel chooses the closer one, as with Envoy";
  (void)opener.keep();
  close_kept();
}

TEST_F(SocketOpening, ThatIsGivenUpLeavesNothingOpen) {
  io::Address address;
  {
    Fd free = loopback_listener();
    address = local_address_of(free.get());
  }
  add("a", address);
  {
    SocketOpener opener(update, 1, nobodys, StoppedListeners::kNone);
    EXPECT_TRUE(opener.open_next());
    EXPECT_FALSE(try_address(address, {}));
  }
  EXPECT_TRUE(try_address(address, {}));
}

TEST_F(SocketOpening, GivesStoppedListenersNone) {
  add("in", loopback());
  add("out", loopback());
  auto inbound = listener("in", loopback());
  inbound->direction = core::ListenerConfig::Direction::kInbound;
  update.new_listeners[0].config = inbound;
  SocketOpener opener(update, 1, nobodys, StoppedListeners::kInbound);
  while (opener.open_next()) {
  }
  BoundListeners bound;
  bound.take(update, opener.keep(), StoppedListeners::kInbound);
  EXPECT_THAT(update.new_listeners[0].sockets, ElementsAre(IsEmpty()));
  EXPECT_EQ(update.new_listeners[1].sockets[0].size(), 1u);
  EXPECT_NE(bound.find("out")->addresses[0].port(), 0);
  close_kept();
}

class Unbound : public ::testing::Test, protected UnboundListenersHost {
 protected:
  Status<> try_listener(const core::ListenerConfig&) override {
    ++tries;
    return reason.empty() ? Status<>(Ok{}) : Status<>(Error<std::string>{reason});
  }
  void on_addresses_free() override { ++told; }
  void pass(Duration time) {
    loop.skip(time);
    loop.run_once(false);
  }

  io::Loop loop;
  UnboundListeners unbound{loop, static_cast<UnboundListenersHost&>(*this)};
  std::shared_ptr<core::ListenerConfig> a = listener("a", loopback(1));
  std::string reason = "in use";
  int tries = 0;
  int told = 0;
};

TEST_F(Unbound, IsTriedLaterAndLaterUntilItsAddressIsFree) {
  unbound.add(a, "in use");
  EXPECT_THAT(unbound.held(), ElementsAre(Pair("a", a->socket_hash)));
  for (const Duration delay : {1s, 2s, 4s, 8s, 16s, 30s, 30s}) {
    const int before = tries;
    pass(delay - 100ms);
    EXPECT_EQ(tries, before);
    pass(150ms);
    EXPECT_EQ(tries, before + 1);
  }
  reason.clear();
  pass(31s);
  EXPECT_EQ(told, 1);
  EXPECT_THAT(unbound.held(), IsEmpty()) << "a build may start it";
  ASSERT_NE(unbound.find("a"), nullptr) << "until it listens";
  pass(60s);
  EXPECT_EQ(told, 1);
  unbound.add(a, "in use again");
  EXPECT_THAT(unbound.held(), ElementsAre(Pair("a", a->socket_hash)));
}

TEST_F(Unbound, IsTriedAtOnceWhenAnAddressWasLeft) {
  unbound.add(a, "in use");
  reason.clear();
  unbound.try_now();
  pass(50ms);
  EXPECT_EQ(told, 1);
}

TEST_F(Unbound, IsForgottenWhenItListensOrShallListenElsewhere) {
  Resources resources;
  const auto piece = [&](const std::shared_ptr<core::ListenerConfig>& config) {
    auto made = std::make_shared<CompiledListener>();
    made->config = config;
    return made;
  };
  resources.listeners["a"].newest = piece(a);
  unbound.add(a, "in use");
  unbound.look_at(resources);
  EXPECT_NE(unbound.find("a"), nullptr);
  resources.listeners["a"].newest = piece(listener("a", loopback(2)));
  unbound.look_at(resources);
  EXPECT_EQ(unbound.find("a"), nullptr);
  unbound.add(a, "in use");
  resources.listeners["a"].newest = piece(a);
  resources.listeners["a"].activate();
  unbound.look_at(resources);
  EXPECT_EQ(unbound.find("a"), nullptr);
  unbound.add(a, "in use");
  unbound.look_at(Resources());
  EXPECT_EQ(unbound.find("a"), nullptr);
  pass(60s);
  EXPECT_EQ(tries, 0);
}

}  // namespace
}  // namespace pillion::testing
