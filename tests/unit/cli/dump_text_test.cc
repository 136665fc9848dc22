#include "proxy/cli/dump_text.h"

#include <gtest/gtest.h>

#include "proxy/cli/admin_client.h"

namespace pillion::cli {
namespace {

std::string text_of(
    std::string_view dump, const FindExtension& find = [](std::string_view) { return Json(); }) {
  const auto document = JsonDocument::parse(dump);
  EXPECT_TRUE(document.has_value());
  const auto again = JsonDocument::parse(dump_text(document->root(), find));
  EXPECT_TRUE(again.has_value());
  return again->root().dump();
}

TEST(DumpText, IsTheResourceWithoutItsType) {
  EXPECT_EQ(text_of(R"({"@type":"x","a":{"@type":"y","n":1.5},"l":[true,null,"s"]})"),
            R"({"a":{"@type":"y","n":1.5},"l":[true,null,"s"]})");
}

TEST(DumpText, CertificatesOfRedactedKeysAreSecretsThatAreNotThere) {
  for (const char* secret :
       {R"("inline_string":"[redacted]")", R"("inline_bytes":"W3JlZGFjdGVkXQ==")"}) {
    const auto text =
        text_of(std::string(R"({"tls_certificates":[{"private_key":{)") + secret + "}}]}");
    EXPECT_EQ(text.find("tls_certificates"), std::string::npos);
    const auto made = JsonDocument::parse(text);
    ASSERT_TRUE(made.has_value());
    const auto secrets = made->root()["tls_certificate_sds_secret_configs"].items();
    ASSERT_EQ(secrets.size(), 1U);
    EXPECT_EQ(secrets[0]["name"].as_string(), "(in the configuration; not shown)");
    EXPECT_TRUE(secrets[0]["sds_config"]["ads"].is_object());
  }
  EXPECT_EQ(text_of(R"({"tls_certificates":[{"private_key":{"filename":"k.pem"}}]})"),
            R"({"tls_certificates":[{"private_key":{"filename":"k.pem"}}]})");
}

TEST(DumpText, OtherRedactedFieldsAreGone) {
  EXPECT_EQ(text_of(R"({"a":"[redacted]","initial_metadata":[{"key":"[redacted]"}],)"
                    R"("session_ticket_keys":{"keys":[{"inline_bytes":"[redacted]"}]},"b":"c"})"),
            R"({"b":"c"})");
}

TEST(DumpText, SecretsOfTheFileAreToBeFetched) {
  EXPECT_EQ(
      text_of(R"({"validation_context_sds_secret_config":{"name":"ca"},)"
              R"("tls_certificate_sds_secret_configs":[{"name":"k","sds_config":{"path":"p"}}]})"),
      R"({"tls_certificate_sds_secret_configs":[{"name":"k","sds_config":{"path":"p"}}],)"
      R"("validation_context_sds_secret_config":{"name":"ca","sds_config":{"ads":{}}}})");
}

TEST(DumpText, ADiscoveredFilterHasWhatWasDiscovered) {
  const auto extension = JsonDocument::parse(R"({"@type":"t","x":1})");
  ASSERT_TRUE(extension.has_value());
  const auto find = [&](std::string_view name) { return name == "f" ? extension->root() : Json(); };
  EXPECT_EQ(text_of(R"({"filters":[{"name":"f","config_discovery":{}}]})", find),
            R"({"filters":[{"name":"f","typed_config":{"@type":"t","x":1}}]})");
  EXPECT_EQ(text_of(R"({"name":"g","config_discovery":{}})", find),
            R"({"config_discovery":{},"name":"g"})");
}

TEST(AdminClient, TakesAddressesAsPeopleWriteThem) {
  for (const char* good : {"http://127.0.0.1:15000", "http://localhost:15000/", "127.0.0.1:15000",
                           "[::1]:15000", "unix:/run/admin.sock", "/run/admin.sock"})
    EXPECT_TRUE(AdminClient::parse(good).has_value()) << good;
  for (const char* bad : {"", "https://x:1", "http://x:1/path", "x", "127.0.0.1:99999", "unix:rel"})
    EXPECT_FALSE(AdminClient::parse(bad).has_value()) << bad;
}

TEST(AdminClient, SaysThatNobodyListens) {
  const auto client = AdminClient::parse("/nonexistent/admin.sock");
  ASSERT_TRUE(client.has_value());
  const auto answer = client->get("/ready");
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error(),
            "no answer from the admin interface at /nonexistent/admin.sock: No such file or "
            "directory");
}

TEST(AdminClient, NamesArePassedAsTheyAre) {
  EXPECT_EQ(exactly("outbound|80||a.b_c"), "^outbound\\|80\\|\\|a\\.b_c$");
  EXPECT_EQ(query_escape("^a|b&c d\xc3"), "%5Ea%7Cb%26c%20d%C3");
}

}  // namespace
}  // namespace pillion::cli
