// Assignments that would hold control up are read elsewhere, in their order.
#include "proxy/control/assignments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/base/protobuf_wire.h"
#include "proxy/base/str.h"
#include "tests/support/run_until.h"

namespace pillion {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string endpoint(uint32_t ip, uint64_t port, bool is_plain) {
  std::string socket;
  wire::write_bytes(socket, 2, io::Address::ipv4(ip, 0).ip_string());
  wire::write_number(socket, 3, port);
  std::string address, inner, out;
  wire::write_item(address, 1, socket);
  wire::write_item(inner, 1, address);
  wire::write_item(out, 1, inner);
  if (is_plain) return out;
  // A number in metadata, which the reader of plain ones leaves to the parser.
  std::string value, entry, fields, named, metadata;
  value = std::string("\x11\0\0\0\0\0\0\xf0\x3f", 9);  // number_value: 1
  wire::write_bytes(entry, 1, "n");
  wire::write_item(entry, 2, value);
  wire::write_item(fields, 1, entry);
  wire::write_bytes(named, 1, "envoy.lb");
  wire::write_item(named, 2, fields);
  wire::write_item(metadata, 1, named);
  wire::write_item(out, 3, metadata);
  return out;
}

class AssignmentsTest : public ::testing::Test, private AssignmentsHost {
 protected:
  void SetUp() override {
    AssignmentsHost& host = *this;
    assignments.emplace(Assignments::Context{loop, registry}, host);
    want({"a", "b"});
  }
  void want(const Names& names) {
    WantedNames wanted;
    for (const std::string& name : names) wanted[name] = {};
    assignments->change({"a", "b"}, wanted, {});
  }

  static xds::Resource assignment(const std::string& name, uint32_t count, bool is_plain = true,
                                  uint64_t last_port = 80) {
    std::string group;
    for (uint32_t i = 0; i < count; ++i)
      wire::write_item(group, 2,
                       endpoint(0x0a000001 + i, i + 1 == count ? last_port : 80, is_plain));
    xds::Resource out;
    out.name = name;
    wire::write_bytes(out.bytes, 1, name);
    wire::write_item(out.bytes, 2, group);
    return out;
  }
  void say(std::vector<xds::Resource> resources) {
    xds::Response response;
    response.type = xds::ResourceType::kEndpoints;
    response.resources = std::move(resources);
    assignments->take(std::move(response));
  }
  bool run_until_taken(size_t count) {
    return testing::run_until(loop, [&] { return taken.size() == count; });
  }

  void on_endpoints(const std::string& name, const upstream::HostSetPtr& hosts) override {
    log.push_back(str(name, ' ', hosts->hosts.size()));
    in_force[name] = hosts;
  }
  [[nodiscard]] upstream::HostSetPtr endpoints_of(const std::string& name) const override {
    const auto it = in_force.find(name);
    return it == in_force.end() ? nullptr : it->second;
  }
  void on_assignment_answered(const std::string&) override {}
  void on_assignments_taken(uint32_t, const std::string& wrong, const std::set<std::string>& names,
                            bool) override {
    taken.push_back(wrong);
    refused = names;
  }
  [[nodiscard]] const Subscriptions::Names& asked_of(uint32_t) const override {
    static const Subscriptions::Names kNone;
    return kNone;
  }
  void on_unknown_fields(const config::UnknownFieldMap&) override {}
  [[nodiscard]] bool may_go_without() const override { return false; }

  io::Loop loop;
  stats::Registry registry;
  std::map<std::string, upstream::HostSetPtr> in_force;
  std::vector<std::string> log;
  std::vector<std::string> taken;
  std::set<std::string> refused;
  std::optional<Assignments> assignments;
};

TEST_F(AssignmentsTest, AreTakenAtOnceWhileTheyAreSmall) {
  say({assignment("a", 100), assignment("b", 100, false)});
  EXPECT_THAT(log, ElementsAre("a 100", "b 100"));
  EXPECT_THAT(taken, ElementsAre(""));
}

TEST_F(AssignmentsTest, AreReadByAThreadWhenTheyAreLargeAndTheOthersWait) {
  say({assignment("a", 20'000), assignment("b", 1)});
  say({assignment("a", 1)});
  EXPECT_THAT(log, IsEmpty()) << "control goes on meanwhile";
  ASSERT_TRUE(run_until_taken(2));
  EXPECT_THAT(log, ElementsAre("a 20000", "b 1", "a 1"));
}

TEST_F(AssignmentsTest, ThatAreNotPlainAreLargeSooner) {
  say({assignment("a", 1000, false)});
  EXPECT_THAT(log, IsEmpty());
  ASSERT_TRUE(run_until_taken(1));
  EXPECT_THAT(log, ElementsAre("a 1000"));
  const upstream::HostSetPtr before = in_force["a"];
  say({assignment("a", 1001, false)});
  ASSERT_TRUE(run_until_taken(2));
  EXPECT_EQ(in_force["a"]->hosts[0], before->hosts[0]) << "hosts that stay are the same";
}

TEST_F(AssignmentsTest, ThatAreLargeAndWrongAreRefusedByName) {
  say({assignment("a", 1000, false, 70'000), assignment("b", 1)});
  ASSERT_TRUE(run_until_taken(1));
  EXPECT_THAT(taken[0], HasSubstr("70000"));
  EXPECT_THAT(refused, ElementsAre("a"));
  EXPECT_THAT(log, ElementsAre("b 1"));
}

TEST_F(AssignmentsTest, ThatBecomeUnwantedWhileTheyAreReadAreDropped) {
  say({assignment("a", 20'000), assignment("b", 1)});
  want({"b"});
  ASSERT_TRUE(run_until_taken(1));
  EXPECT_THAT(log, ElementsAre("b 1"));
}

TEST_F(AssignmentsTest, MayEndWhileOneIsRead) {
  say({assignment("a", 20'000)});
  assignments.reset();
  loop.run_once(false);
  EXPECT_THAT(log, IsEmpty());
}

}  // namespace
}  // namespace pillion
