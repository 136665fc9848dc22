#pragma once
// A stream with every fact set, for tests of formats and filters.

#include "proxy/core/stream_info.h"

namespace pillion::telemetry {

using namespace std::chrono_literals;

// 2026-11-24T14:00:00.123456789Z
inline constexpr int64_t kSampleTimeNs = 1795528800'123456789;

struct Sample {
  Sample() : request(arena), response(arena), trailers(arena) {
    set_connection();
    request.method_text = "GET";
    request.path = "/users/7?a=b%20c&q=1";
    request.authority = "users:8080";
    request.scheme = "http";
    request.headers.add_copy("User-Agent", "curl/8.5");
    request.headers.add_copy("X-Request-Id", "5d7f-11");
    request.headers.add_copy("X-Forwarded-For", "10.0.0.9");
    request.headers.add_copy("X-Custom", "first");
    request.headers.add_copy("X-Custom", "second");
    response.status = 200;
    response.framing = http::Framing::kLength;
    response.content_length = 321;
    response.headers.add_copy("X-Envoy-Upstream-Service-Time", "4");
    trailers.add_copy("X-Checksum", "abc");
    set_info();
  }
  Sample(const Sample&) = delete;

  // The same as a TCP connection.
  void make_tcp() {
    info.request = nullptr;
    info.response = nullptr;
    info.response_code = 0;
    info.times.ds_rx_begin = {};
    info.wall_begin -= 500ms;
  }

  Arena arena;
  http::RequestHead request;
  http::ResponseHead response;
  http::Headers trailers;
  io::PeerCertificate certificate, own;
  io::PeerIdentity identity;
  const std::string filter_chain = "inbound";
  core::ConnectionInfo connection;
  core::StreamInfo info;

 private:
  void set_connection() {
    identity.uri_san = "spiffe://mesh.local/ns/shop/sa/customer";
    identity.dns_san = "customer.shop";
    identity.subject = "CN=customer";
    identity.local_uri_san = "spiffe://mesh.local/ns/shop/sa/users";
    identity.sha256 = "ab12";
    identity.tls_version = "TLSv1.3";
    identity.cipher = "TLS_AES_128_GCM_SHA256";
    connection.id = 42;
    connection.remote = io::Address::ipv4(0x0a010203, 40000);
    connection.local = io::Address::ipv4(0x0a010204, 15006);
    identity.sni = "users.shop";
    certificate.uri_sans = {std::string(identity.uri_san), "spiffe://mesh.local/second"};
    certificate.dns_sans = {std::string(identity.dns_san)};
    certificate.ip_sans = {"10.1.2.3", "::1"};
    certificate.subject = identity.subject;
    certificate.issuer = "CN=mesh";
    certificate.serial = "0a";
    certificate.sha256 = identity.sha256;
    certificate.sha1 = "cd34";
    certificate.not_before = 1'700'000'000;
    certificate.not_after = 1'800'000'000;
    certificate.chain = {std::string_view("\x30\x03\xff\xfe\xfb", 5)};
    identity.certificate = &certificate;
    own.uri_sans = {std::string(identity.local_uri_san)};
    own.dns_sans = {"users", "users.shop"};
    identity.local = &own;
    identity.group = "X25519";
    identity.session_id = std::string_view("\x01\xfe", 2);
    connection.filter_chain = &filter_chain;
    connection.identity = &identity;
    connection.begin = Instant(1000ms);
  }
  void set_info() {
    info.connection = &connection;
    info.wall_begin = WallTime(Duration(kSampleTimeNs));
    info.request = &request;
    info.response = &response;
    info.response_trailers = &trailers;
    info.original_path = "/old/7";
    info.route_name = "users";
    info.response_details = "via_upstream";
    info.stream_id = "5d7f-11";
    info.upstream.remote = io::Address::ipv4(0x0a010205, 8080);
    info.upstream.local = io::Address::ipv4(0x0a010204, 50001);
    info.upstream.cluster = "users";
    info.upstream.connection_id = 7;
    info.upstream.attempts = 1;
    info.times.ds_rx_begin = Instant(1500ms);
    info.times.ds_rx_end = Instant(1501ms);
    info.times.us_cx_begin = Instant(1502ms);
    info.times.us_ready = Instant(1503ms);
    info.times.us_tx_begin = Instant(1503ms);
    info.times.us_tx_end = Instant(1504ms);
    info.times.us_rx_begin = Instant(1508ms);
    info.times.us_rx_end = Instant(1509ms);
    info.times.ds_tx_begin = Instant(1509ms);
    info.times.ds_tx_end = Instant(1510ms);
    info.times.end = Instant(1512ms);
    info.response_code = 200;
    info.bytes_received = 17;
    info.bytes_sent = 321;
  }
};

}  // namespace pillion::telemetry
