#include "xds/file_response.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "proxy/base/str.h"
#include "xds/reflect.h"
#include "xds/resource_document.h"

namespace pillion::xds {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FileResponseTest : public ::testing::Test {
 protected:
  FileResponseTest() {
    std::string name = (fs::temp_directory_path() / "pillion_response_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~FileResponseTest() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, std::string_view text) {
    const fs::path path = folder_ / name;
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
    return path.string();
  }
  Response read(const std::string& name, std::string_view text,
                ResourceType type = ResourceType::kClusters) {
    Result<Response> out = read_response(write(name, text), type);
    EXPECT_TRUE(out) << out.error();
    return out ? std::move(*out) : Response{};
  }

  fs::path folder_;
};

constexpr std::string_view kTwoClusters = R"(version_info: "7"
resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: a
  type: EDS
- "@type": type.googleapis.com/envoy.service.discovery.v3.Resource
  version: "8"
  resource:
    "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
    name: b
)";

TEST_F(FileResponseTest, ReadsResourcesAndLooksThroughTheirWrappers) {
  const Response response = read("cds.yaml", kTwoClusters);
  EXPECT_THAT(response.wrong, IsEmpty());
  EXPECT_EQ(response.version, "7");
  ASSERT_EQ(response.resources.size(), 2u);
  EXPECT_EQ(response.resources[0].name, "a");
  EXPECT_EQ(response.resources[1].name, "b");
  EXPECT_EQ(response.resources[1].version, "8");
  EXPECT_NE(response.resources[0].bytes, response.resources[1].bytes);
}

TEST_F(FileResponseTest, KeepsTheLineOfEachValueForItsParser) {
  const Response response = read("cds.yaml", kTwoClusters);
  ASSERT_EQ(response.resources.size(), 2u);
  config::Errors errors;
  const ResourceDocument document =
      document_of(ResourceType::kClusters, response.resources[0], errors);
  document.node(errors)["type"].expected("STATIC");
  EXPECT_EQ(errors.to_string(), str((folder_ / "cds.yaml").string(),
                                    ":5:9: resources[0].type: expected STATIC, got EDS\n"));
}

TEST_F(FileResponseTest, ReadsAnEncodedResponse) {
  const Result<std::string> bytes = encode(
      "envoy.service.discovery.v3.DiscoveryResponse",
      R"({"version_info":"3","type_url":"type.googleapis.com/envoy.config.cluster.v3.Cluster",)"
      R"("resources":[{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster","name":"a"}]})");
  ASSERT_TRUE(bytes) << bytes.error();
  const Response response = read("cds.pb", *bytes);
  EXPECT_THAT(response.wrong, IsEmpty());
  ASSERT_EQ(response.resources.size(), 1u);
  EXPECT_EQ(response.resources[0].name, "a");
  EXPECT_THAT(read("eds.pb", *bytes, ResourceType::kEndpoints).wrong,
              HasSubstr("expected envoy.config.endpoint.v3.ClusterLoadAssignment"));
  EXPECT_THAT(read("bad.pb", "\xff\xff").wrong, HasSubstr("no DiscoveryResponse"));
}

struct WrongFile {
  std::string_view name;
  std::string_view text;
  std::string_view problem;  // behind the path
};

class WrongFiles : public FileResponseTest, public ::testing::WithParamInterface<WrongFile> {};

TEST_P(WrongFiles, AreToldWithTheirPlace) {
  const Response response = read(std::string(GetParam().name), GetParam().text);
  EXPECT_THAT(response.wrong,
              HasSubstr(str((folder_ / GetParam().name).string(), GetParam().problem)));
  EXPECT_THAT(response.resources, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Table, WrongFiles,
    ::testing::Values(
        WrongFile{"syntax.yaml", "resources: [", ":1:"},
        WrongFile{"list.yaml", "resources: 3", ":1:12: resources: expected a list"},
        WrongFile{"field.yaml", "resource: []", ":1:1: resource: unknown field"},
        WrongFile{"untyped.yaml", "resources:\n- name: a", ":2:3: resources[0]: expected @type"},
        WrongFile{"other.yaml",
                  "resources:\n- \"@type\": "
                  "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment\n"
                  "  cluster_name: a",
                  ":2:3: resources[0]: expected envoy.config.cluster.v3.Cluster, got"},
        WrongFile{"nameless.yaml",
                  "resources:\n- \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\n",
                  ":2:3: resources[0].name: required field is missing"},
        WrongFile{"twins.yaml",
                  "resources:\n"
                  "- { \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: a }\n"
                  "- { \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: a }\n",
                  ":3:73: resources[1].name: there is another \"a\""},
        WrongFile{"old.pb_text", "", ": the text form of protobuf is not read"}),
    [](const auto& row) {
      const std::string_view name = row.param.name;
      return std::string(name.substr(0, name.find('.')));
    });

TEST_F(FileResponseTest, AFileThatIsNotThereIsAnError) {
  const Result<Response> missing =
      read_response((folder_ / "none").string(), ResourceType::kClusters);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error(), HasSubstr("none: No such file or directory"));
  EXPECT_FALSE(read_response(folder_.string(), ResourceType::kClusters));
}

}  // namespace
}  // namespace pillion::xds
