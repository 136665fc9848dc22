#include "xds/field_path.h"

#include <gtest/gtest.h>

namespace pillion::xds {
namespace {

TEST(FieldPath, NamesFieldsOfMessagesWithinMessages) {
  constexpr std::string_view kCluster = "envoy.config.cluster.v3.Cluster";
  for (const char* path : {"name", "load_assignment", "load_assignment.cluster_name",
                           "load_assignment.endpoints", "connect_timeout.seconds"})
    EXPECT_TRUE(has_field(kCluster, path)) << path;
  for (const char* path :
       {"", "nosuch", "name.x", "load_assignment.nosuch", "load_assignment.endpoints.priority",
        "typed_extension_protocol_options.x", "loadAssignment", "load_assignment."})
    EXPECT_FALSE(has_field(kCluster, path)) << path;
}

TEST(FieldPath, TakesWhatItDoesNotKnowForAField) {
  EXPECT_TRUE(has_field("no.such.Message", "anything.at.all"));
}

}  // namespace
}  // namespace pillion::xds
