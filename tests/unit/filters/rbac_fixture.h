#pragma once
// Policies as YAML, and the facts that they are judged by.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "filters/rbac/engine.h"
#include "proxy/base/str.h"
#include "proxy/config/loader.h"
#include "proxy/io/peer_certificate.h"

namespace pillion::filters::rbac {

// Customer of the mesh asks for /users/7, through a proxy that told its address.
class RbacTest : public ::testing::Test {
 protected:
  RbacTest() {
    certificate.uri_sans = {"spiffe://mesh.local/ns/shop/sa/customer"};
    certificate.dns_sans = {"a.example", "b.example", "c.example"};
    peer.certificate = &certificate;
    peer.subject = "CN=customer,O=shop";
    peer.sni = "users.mesh";
    peer.presented = peer.verified = true;
    connection.remote = *io::Address::parse_ip("10.1.2.3", 5000);
    connection.local = *io::Address::parse_ip("10.0.0.7", 8080);
    direct.remote = *io::Address::parse_ip("192.168.0.9", 6000);
    direct.local = connection.local;
    connection.direct = &direct;
    connection.identity = &peer;
    head.method_text = "GET";
    head.path = "/users/7?x=/admin";
    head.authority = "shop.local:80";
    head.scheme = "https";
    head.headers.add("x-a", "1");
    head.headers.add("x-a", "2");
    head.headers.add("x-empty", "");
    head.headers.add("x-n", "42");
    core::MetadataValue payload;
    payload.kind = core::MetadataValue::Kind::kStruct;
    payload.first = arena.create<core::MetadataMember>(
        core::MetadataMember{"sub", core::MetadataValue::of(std::string_view("ann")), nullptr});
    info.metadata.set(arena, "jwt", "payload", payload);
    info.filter_state =
        arena.create<core::FilterState>(core::FilterState{"state", "value", nullptr});
  }

  // Nothing that could be missing is there.
  void strip() {
    connection.identity = nullptr;
    connection.direct = nullptr;
    head.headers.clear();
    head.authority = {};
    head.path = {};
    info = {};
  }
  [[nodiscard]] Facts facts() const {
    return {connection, &head, head.path.substr(0, head.path.find('?')), connection.sni(), &info};
  }

  static std::unique_ptr<const Engine> parse(std::string_view key, std::string_view yaml,
                                             config::Errors& errors,
                                             Scope scope = Scope::kRequest) {
    const config::DocumentPtr document =
        config::load_text(str("{ ", key, ": ", yaml, " }"), "f", errors);
    const config::Node root = document->root(errors);
    return Engine::parse(root["rules"], root["matcher"], scope);
  }
  std::unique_ptr<const Engine> engine(std::string_view yaml, std::string_view key = "rules") {
    config::Errors errors;
    auto made = parse(key, yaml, errors);
    EXPECT_EQ(errors.to_string(), "") << yaml;
    return made;
  }
  static std::string errors_of(std::string_view yaml, std::string_view key = "rules",
                               Scope scope = Scope::kRequest) {
    config::Errors errors;
    (void)parse(key, yaml, errors, scope);
    return errors.to_string();
  }
  // Of one policy, p.
  static std::string rules(std::string_view action, std::string_view permission,
                           std::string_view principal) {
    return str("{ action: ", action, ", policies: { p: { permissions: [ ", permission,
               " ], principals: [ ", principal, " ] } } }");
  }
  bool permits(std::string_view permission) {
    return engine(rules("ALLOW", permission, "{ any: true }"))->judge(facts()).allowed;
  }
  bool admits(std::string_view principal, std::string_view action = "ALLOW") {
    const Verdict verdict = engine(rules(action, "{ any: true }", principal))->judge(facts());
    return verdict.policy != kNoPolicy;
  }

  Arena arena;
  io::PeerCertificate certificate;
  io::PeerIdentity peer;
  core::ConnectionInfo::Direct direct;
  core::ConnectionInfo connection;
  http::RequestHead head{arena};
  core::StreamInfo info;
};

}  // namespace pillion::filters::rbac
