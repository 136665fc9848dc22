#pragma once
// Fields of a cluster that speaks HTTP/2, and clients of HTTP/2 on real sockets.

#include <memory>
#include <string>
#include <string_view>

#include "tests/component/worker_fixture.h"
#include "tests/support/h2_peer.h"
#include "tests/support/h2_test_client.h"

namespace pillion::testing {

// `options`: fields of Http2ProtocolOptions.
inline std::string http2_cluster(std::string_view options = {}) {
  return str(
      "typed_extension_protocol_options: { "
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions: { ",
      kExtension,
      "upstreams.http.v3.HttpProtocolOptions, explicit_http_config: { "
      "http2_protocol_options: { ",
      options, " } } } }");
}

inline std::unique_ptr<H2TestClient> http2_client(io::Loop& loop, io::WriteBatch& batch,
                                                  const io::Address& to,
                                                  const http::H2Options& options = {}) {
  Fd fd = connect_to(to);
  EXPECT_EQ(::fcntl(fd.get(), F_SETFL, O_NONBLOCK), 0);
  io::apply_options(fd.get(), {});
  return std::make_unique<H2TestClient>(batch, io::Socket::adopt(loop, fd.release()), options);
}

}  // namespace pillion::testing
