#include "proxy/io/acceptor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "tests/support/run_until.h"
#include "tests/support/sockets.h"

namespace pillion::io {
namespace {

using namespace std::chrono_literals;
using testing::Fd;
using testing::run_for;
using testing::run_until;
namespace fs = std::filesystem;

struct Taker final : AcceptObserver {
  void on_accepted(int fd, const Address& peer) override {
    fds.emplace_back(fd);
    peers.push_back(peer);
    if (then) then();
  }
  void on_accept_error(int error) override { errors.push_back(error); }
  std::vector<Fd> fds;
  std::vector<Address> peers;
  std::vector<int> errors;
  std::function<void()> then;
};

class AcceptorTest : public ::testing::Test {
 protected:
  AcceptorTest() {
    Fd listener = testing::loopback_listener();
    address_ = testing::local_address_of(listener.get());
    listen_fd_ = listener.release();
  }
  void make(uint32_t max_per_event = 64) {
    acceptor_ = std::make_unique<Acceptor>(loop_, listen_fd_, taker_, max_per_event);
  }
  void connect(size_t n) {
    for (size_t i = 0; i < n; ++i) clients_.push_back(testing::connect_to(address_));
  }
  bool taken(size_t n) {
    return run_until(loop_, [&] { return taker_.fds.size() >= n; }, 3s);
  }

  Loop loop_;
  Taker taker_;
  int listen_fd_;
  Address address_;
  std::unique_ptr<Acceptor> acceptor_;
  std::vector<Fd> clients_;
};

TEST_F(AcceptorTest, HandsOverNonBlockingSocketsWithTheirPeer) {
  make();
  connect(1);
  ASSERT_TRUE(taken(1));
  EXPECT_EQ(taker_.peers[0], testing::local_address_of(clients_[0].get()));
  char byte;
  EXPECT_EQ(::recv(taker_.fds[0].get(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(AcceptorTest, TakesABoundedNumberPerEvent) {
  make(3);
  connect(7);
  loop_.run_once(false);
  EXPECT_EQ(taker_.fds.size(), 3U);
  loop_.run_once(false);
  EXPECT_EQ(taker_.fds.size(), 6U);
  EXPECT_TRUE(taken(7));
}

TEST_F(AcceptorTest, StopsAtOnceWhenPausedInACallback) {
  make();
  taker_.then = [&] {
    if (taker_.fds.size() == 2) acceptor_->pause();
  };
  connect(5);
  run_for(loop_, 30ms);
  EXPECT_EQ(taker_.fds.size(), 2U);
  acceptor_->resume();
  EXPECT_TRUE(taken(5));
}

TEST_F(AcceptorTest, TriesAgainWhenDescriptorsRanOut) {
  make();
  connect(3);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  run_for(loop_, 50ms);
  const size_t errors = taker_.errors.size();
  const uint64_t turns = loop_.counts.turns;
  run_for(loop_, 30ms);
  EXPECT_LE(loop_.counts.turns - turns, 10U) << "readiness is level-triggered: no spinning";
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(errors, 1U);
  EXPECT_EQ(taker_.errors.at(0), EMFILE);
  EXPECT_TRUE(taken(3)) << "by itself";
}

TEST_F(AcceptorTest, TriesAgainWhenEpollRefusesItsSocket) {
  const Fd listener(::fcntl(listen_fd_, F_DUPFD_CLOEXEC, 0));
  make();
  acceptor_->pause();
  testing::make_unwatchable(listen_fd_);
  acceptor_->resume();
  EXPECT_EQ(taker_.errors, std::vector{EPERM});
  connect(2);
  run_for(loop_, 50ms);
  EXPECT_EQ(taker_.errors.size(), 1U) << "no spinning";
  acceptor_->resume();
  EXPECT_EQ(taker_.errors.size(), 1U) << "whoever resumes it waits for the retry too";
  ASSERT_EQ(::dup3(listener.get(), listen_fd_, O_CLOEXEC), listen_fd_);
  EXPECT_TRUE(taken(2)) << "by itself";
}

TEST_F(AcceptorTest, StaysPausedWhenTheRetryComes) {
  make();
  connect(1);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  run_until(loop_, [&] { return !taker_.errors.empty(); }, 1s);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  acceptor_->pause();
  run_for(loop_, 200ms);
  EXPECT_EQ(taker_.fds.size(), 0U);
  acceptor_->resume();
  EXPECT_TRUE(taken(1));
}

TEST_F(AcceptorTest, LosesNobodyWhenItDrains) {
  make(2);
  acceptor_->pause();
  connect(100);
  acceptor_->drain_and_close();
  EXPECT_EQ(taker_.fds.size(), 100U);
  EXPECT_EQ(acceptor_->fd(), -1);
  acceptor_->drain_and_close();
  acceptor_->pause();
  acceptor_->resume();
  run_for(loop_, 20ms);
  for (size_t i = 0; i < 100; ++i) {
    testing::send_all(taker_.fds[i].get(), "x");
    ASSERT_EQ(testing::receive(clients_[i].get()), "x");
  }
  Fd late(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage sa{};
  const socklen_t n = address_.to_sockaddr(sa);
  EXPECT_EQ(::connect(late.get(), reinterpret_cast<sockaddr*>(&sa), n), -1);
}

TEST_F(AcceptorTest, MayBeDrainedInACallback) {
  make();
  connect(3);
  taker_.then = [&] {
    taker_.then = {};
    acceptor_->drain_and_close();
  };
  EXPECT_TRUE(taken(3));
  run_for(loop_, 20ms);
  EXPECT_EQ(taker_.fds.size(), 3U);
}

TEST_F(AcceptorTest, SharesAPortBetweenWorkers) {
  auto second = open_listener(address_, {});
  ASSERT_TRUE(second) << second.error();
  Taker other;
  {
    Acceptor neighbour(loop_, *second, other);
    make();
    connect(60);
    EXPECT_TRUE(run_until(loop_, [&] { return taker_.fds.size() + other.fds.size() == 60; }));
    EXPECT_GT(taker_.fds.size(), 0U);
    EXPECT_GT(other.fds.size(), 0U);
  }
  connect(1);
  run_until(loop_, [&] { return taker_.fds.size() + other.fds.size() == 61; });
  EXPECT_EQ(taker_.fds.size() + other.fds.size(), 61U) << "the one that is left takes all";
}

// --- bind_listener
// --------------------------------------------------------------------------------

// 0, or errno of a connect that was refused.
int try_connect(const Address& address) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage sa{};
  const socklen_t n = address.to_sockaddr(sa);
  return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&sa), n) == 0 ? 0 : errno;
}

TEST_F(AcceptorTest, GivesNoClientToASocketThatNobodyAcceptsFrom) {
  make();
  const auto next = bind_listener(address_, {});
  ASSERT_TRUE(next) << next.error();
  connect(40);
  EXPECT_TRUE(taken(40)) << "all of them came to the one that accepts";
  Taker other;
  Acceptor successor(loop_, *next, other);
  acceptor_->drain_and_close();
  connect(5);
  EXPECT_TRUE(run_until(loop_, [&] { return other.fds.size() == 5; }));
}

TEST_F(AcceptorTest, ListensAsSoonAsNobodyElseDoes) {
  // Two may bind an address (SO_REUSEADDR) until one of them listens.
  ListenOptions alone;
  alone.reuse_port = false;
  const auto foreign = bind_listener(Address::ipv4(INADDR_LOOPBACK, 0), alone);
  ASSERT_TRUE(foreign) << foreign.error();
  Fd others(*foreign);
  const Address address = testing::local_address_of(others.get());
  const auto ours = bind_listener(address, {});
  ASSERT_TRUE(ours) << ours.error();
  EXPECT_EQ(try_connect(address), ECONNREFUSED);
  ASSERT_EQ(::listen(others.get(), 5), 0);

  Acceptor acceptor(loop_, *ours, taker_);
  EXPECT_EQ(acceptor.listen_error(), EADDRINUSE);
  acceptor.pause();
  acceptor.resume();
  loop_.skip(1100ms);
  EXPECT_EQ(acceptor.listen_error(), EADDRINUSE);
  others.reset();
  EXPECT_EQ(try_connect(address), ECONNREFUSED);
  loop_.skip(1100ms);
  EXPECT_EQ(acceptor.listen_error(), 0);
  clients_.push_back(testing::connect_to(address));
  EXPECT_TRUE(taken(1));
}

TEST_F(AcceptorTest, MayBeDrainedBeforeItListens) {
  ListenOptions alone;
  alone.reuse_port = false;
  const auto foreign = bind_listener(Address::ipv4(INADDR_LOOPBACK, 0), alone);
  ASSERT_TRUE(foreign) << foreign.error();
  Fd others(*foreign);
  const auto ours = bind_listener(testing::local_address_of(others.get()), {});
  ASSERT_TRUE(ours) << ours.error();
  ASSERT_EQ(::listen(others.get(), 5), 0);
  Acceptor acceptor(loop_, *ours, taker_);
  acceptor.drain_and_close();
  EXPECT_EQ(acceptor.fd(), -1);
  EXPECT_EQ(taker_.errors.size(), 0U);
  loop_.skip(1100ms);
}

// --- open_listener
// --------------------------------------------------------------------------------

TEST_F(AcceptorTest, NamesAnAddressInUse) {
  make();
  ListenOptions alone;
  alone.reuse_port = false;
  auto second = open_listener(address_, alone);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error(),
            "cannot bind " + address_.to_string() +
                ": Address already in use (another process, or another listener, has it)");
  auto nobodys = open_listener(Address::ipv4(0xc0000201, 80), {});
  ASSERT_FALSE(nobodys);
  EXPECT_EQ(nobodys.error(), "cannot bind 192.0.2.1:80: Cannot assign requested address");
}

class UnixListenerTest : public ::testing::Test {
 protected:
  UnixListenerTest() {
    std::string name = (fs::temp_directory_path() / "pillion_unix_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    path_ = folder_ + "/a.sock";
  }
  ~UnixListenerTest() override { fs::remove_all(folder_); }
  std::string folder_;
  std::string path_;
};

TEST_F(UnixListenerTest, ReplacesTheSocketOfADeadProcessOnly) {
  ListenOptions options;
  options.unix_mode = 0600;
  auto first = open_listener(Address::unix_path(path_), options);
  ASSERT_TRUE(first) << first.error();
  struct stat st{};
  ASSERT_EQ(::stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600U);
  auto second = open_listener(Address::unix_path(path_), options);
  EXPECT_FALSE(second) << "the first one lives";
  ::close(*first);
  ASSERT_TRUE(fs::exists(path_)) << "left behind, as by a crash";
  auto third = open_listener(Address::unix_path(path_), options);
  ASSERT_TRUE(third) << third.error();
  ::close(*third);
}

TEST_F(UnixListenerTest, DeletesNoFileThatIsNoSocket) {
  // connect() to a plain file says ECONNREFUSED, just like a dead socket.
  std::ofstream(path_) << "precious";
  EXPECT_FALSE(open_listener(Address::unix_path(path_), {}));
  EXPECT_EQ(fs::file_size(path_), 8U);
}

TEST_F(UnixListenerTest, WaitsForNobodyWhileItProbes) {
  ListenOptions options;
  options.backlog = 1;
  auto first = open_listener(Address::unix_path(path_), options);
  ASSERT_TRUE(first) << first.error();
  Fd listener(*first);
  // The queue is full: a blocking connect() would wait for ever.
  std::vector<Fd> queued;
  sockaddr_storage sa{};
  const socklen_t n = Address::unix_path(path_).to_sockaddr(sa);
  for (int i = 0; i < 5; ++i) {
    queued.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    static_cast<void>(::connect(queued.back().get(), reinterpret_cast<sockaddr*>(&sa), n));
  }
  EXPECT_FALSE(open_listener(Address::unix_path(path_), {}));
}

}  // namespace
}  // namespace pillion::io
