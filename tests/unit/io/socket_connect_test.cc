// Connecting: success, refusal, its options, and resources that run out.
#include <netinet/tcp.h>
#include <sys/resource.h>

#include <filesystem>

#include "tests/unit/io/socket_fixture.h"

namespace pillion::io {
namespace {

using testing::Fd;
using testing::receive;
using testing::send_all;

class ConnectTest : public SocketTest {
 protected:
  void connect(const Address& to, const Address& source = {}, const SocketOptions& options = {}) {
    socket_ = Socket::connect(loop_, to, source, options);
    observer_.transport = socket_.get();
    socket_->start(observer_);
    EXPECT_EQ(observer_.log, "") << "no callback inside start()";
  }
};

TEST_F(ConnectTest, TellsOfSuccessAndThenOfBytes) {
  Fd listener = testing::loopback_listener();
  connect(testing::local_address_of(listener.get()));
  EXPECT_TRUE(log_becomes("connected "));
  Fd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_EQ(socket_->peer_address(), testing::local_address_of(listener.get()));
  send_all(peer.get(), "welcome");
  EXPECT_TRUE(receives(7));
  EXPECT_EQ(write("thanks").bytes, 6U);
  EXPECT_EQ(receive(peer.get()), "thanks");
}

TEST_F(ConnectTest, TellsOfARefusal) {
  Fd listener = testing::loopback_listener();
  const Address address = testing::local_address_of(listener.get());
  listener.reset();
  connect(address);
  EXPECT_TRUE(log_becomes("closed "));
  EXPECT_EQ(observer_.failure.kind, FailureKind::kConnectFailed);
  EXPECT_EQ(observer_.failure.detail, ECONNREFUSED);
  EXPECT_FALSE(socket_->bind_failed());
}

TEST_F(ConnectTest, CanBeGivenUpWhileItHangs) {
  // A full queue of a listener that never accepts swallows further SYNs.
  Fd listener = testing::loopback_listener(1);
  const Address address = testing::local_address_of(listener.get());
  std::vector<std::unique_ptr<Socket>> others;
  std::vector<std::unique_ptr<RecordingObserver>> observers;
  for (int i = 0; i < 4; ++i) {
    others.push_back(Socket::connect(loop_, address, {}, {}));
    observers.push_back(std::make_unique<RecordingObserver>());
    others.back()->start(*observers.back());
  }
  run_for(loop_, 50ms);
  connect(address);
  run_for(loop_, 50ms);
  EXPECT_EQ(observer_.log, "") << "neither success nor failure";
  socket_->close();
  run_for(loop_, 20ms);
  EXPECT_EQ(observer_.log, "");
}

TEST_F(ConnectTest, BindsToASourceAndTellsIfItCannot) {
  Fd listener = testing::loopback_listener();
  const Address to = testing::local_address_of(listener.get());
  const Address source = Address::ipv4(0x7f000005, 0);
  connect(to, source);
  EXPECT_TRUE(log_becomes("connected "));
  EXPECT_EQ(socket_->local_address().ip_string(), "127.0.0.5");
  socket_->close();
  observer_.log.clear();
  connect(to, Address::ipv4(0xc0000201, 0));  // 192.0.2.1 is nobody's
  EXPECT_TRUE(log_becomes("closed "));
  EXPECT_EQ(observer_.failure.kind, FailureKind::kConnectLocal);
  EXPECT_EQ(observer_.failure.detail, EADDRNOTAVAIL);
  EXPECT_TRUE(socket_->bind_failed());
}

TEST_F(ConnectTest, TellsWhenDescriptorsRunOut) {
  // UBSan opens a pipe to look at a type for the first time: let it see these ones before.
  connect(Address());
  EXPECT_TRUE(log_becomes("closed "));
  socket_->close();
  observer_ = {};
  Fd listener = testing::loopback_listener();
  const Address to = testing::local_address_of(listener.get());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  connect(to);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(log_becomes("closed "));
  EXPECT_EQ(observer_.failure.kind, FailureKind::kConnectLocal);
  EXPECT_EQ(observer_.failure.detail, EMFILE);
}

TEST_F(ConnectTest, TellsWhenEpollRefusesIt) {
  Fd listener = testing::loopback_listener();
  socket_ = Socket::connect(loop_, testing::local_address_of(listener.get()), {}, {});
  observer_.transport = socket_.get();
  testing::make_unwatchable(socket_->raw_fd());
  socket_->start(observer_);
  EXPECT_EQ(observer_.log, "") << "no callback inside start()";
  EXPECT_TRUE(log_becomes("closed "));
  EXPECT_EQ(observer_.failure.kind, FailureKind::kConnectLocal);
  EXPECT_EQ(observer_.failure.detail, EPERM);
}

TEST_F(ConnectTest, RefusesAnAddressThatIsNone) {
  connect(Address());
  EXPECT_TRUE(log_becomes("closed "));
  EXPECT_NE(observer_.failure.kind, FailureKind::kNone);
}

TEST_F(ConnectTest, HearsOfBytesOnAUnixSocketWhichConnectsAtOnce) {
  const auto folder = std::filesystem::temp_directory_path();
  const std::string path = (folder / ("pillion_" + std::to_string(::getpid()) + ".sock")).string();
  for (const Address& address : {Address::unix_path(path), Address::unix_path("@" + path)}) {
    auto fd = open_listener(address, {});
    ASSERT_TRUE(fd) << fd.error();
    Fd listener(*fd);
    observer_ = {};
    connect(address);
    EXPECT_TRUE(log_becomes("connected ")) << address.to_string();
    Fd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    // Nobody called watch().
    send_all(peer.get(), "bytes");
    EXPECT_TRUE(receives(5)) << address.to_string();
    peer.reset();
    EXPECT_TRUE(log_becomes("connected eof "));
    socket_->close();
  }
  std::filesystem::remove(path);
  observer_ = {};
  connect(Address::unix_path(path));
  EXPECT_TRUE(log_becomes("closed "));
  EXPECT_EQ(observer_.failure.kind, FailureKind::kConnectFailed);
}

TEST_F(ConnectTest, AppliesItsOptions) {
  Fd listener = testing::loopback_listener();
  SocketOptions options;
  options.user_timeout = 30s;
  options.keepalive = true;
  options.keepalive_probes = 3;
  options.keepalive_time_s = 60;
  options.keepalive_interval_s = 5;
  connect(testing::local_address_of(listener.get()), {}, options);
  EXPECT_TRUE(log_becomes("connected "));
  const auto option = [&](int level, int name) {
    int value = -1;
    socklen_t n = sizeof value;
    ::getsockopt(socket_->raw_fd(), level, name, &value, &n);
    return value;
  };
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPCNT), 3);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPIDLE), 60);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPINTVL), 5);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_USER_TIMEOUT), 30'000);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_NODELAY), 1);
}

}  // namespace
}  // namespace pillion::io
