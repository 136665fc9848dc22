#include "proxy/tls/key_log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "tests/unit/tls/transport_fixture.h"

namespace pillion::tls {
namespace {

std::string text_of(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

// With the process's writer, as a running proxy has it.
class KeyLogTest : public TransportTest {
 protected:
  void SetUp() override {
    path_ = str(::testing::TempDir(), "key_log_test_", ::getpid());
    std::filesystem::remove(path_);
    writer_.start();
    log::attach(writer_);
  }
  void TearDown() override {
    pair.reset();
    loop.run_once(false);
    log::detach();
    writer_.stop();
    std::filesystem::remove(path_);
  }
  std::string logged(const KeyLogConfig& config) {
    ContextConfig side = server_config();
    side.key_log = config;
    connect(client_config(), side);
    EXPECT_TRUE(writer_.flush());
    return text_of(path_);
  }
  std::string path_;
  LogWriter writer_;
};

TEST_F(KeyLogTest, HoldsTheSecretsOfAConnectionForItsOwnerOnly) {
  const std::string text = logged({path_, {}, {}});
  for (const char* label : {"CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_HANDSHAKE_TRAFFIC_SECRET ",
                            "CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "}) {
    EXPECT_THAT(text, HasSubstr(label));
  }
  struct stat info{};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(KeyLogTest, AFileThatOthersMayReadIsClosedToThem) {
  std::ofstream(path_) << "before\n";
  ASSERT_EQ(::chmod(path_.c_str(), 0644), 0);
  EXPECT_THAT(logged({path_, {}, {}}),
              ::testing::StartsWith("before\nCLIENT_HANDSHAKE_TRAFFIC_SECRET "));
  struct stat info{};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(KeyLogTest, AConnectionWithoutAddressesIsInNoRange) {
  const match::Cidr any = *match::Cidr::parse("0.0.0.0/0");
  EXPECT_EQ(logged({path_, {any}, {}}), "");
  EXPECT_EQ(logged({path_, {}, {any}}), "");
}

TEST_F(KeyLogTest, IsOffUnlessItIsConfigured) {
  connect();
  EXPECT_EQ(context(server_config())->key_log(), nullptr);
  EXPECT_TRUE(writer_.flush());
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(KeyLogTest, AFileThatCannotBeOpenedIsAnError) {
  ContextConfig side = server_config();
  side.key_log = KeyLogConfig{"/no/such/folder/keys", {}, {}};
  const auto made = Context::make(side);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error(), HasSubstr("key_log: cannot open /no/such/folder/keys: No such file"));
}

}  // namespace
}  // namespace pillion::tls
