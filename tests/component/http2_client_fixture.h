#pragma once
// A worker whose clients speak HTTP/2, frame by frame.

#include <string>
#include <string_view>

#include "proxy/http/h2_preface.h"
#include "tests/component/worker_fixture.h"
#include "tests/support/h2_frames.h"

namespace pillion::testing {

class Http2ClientFixture : public WorkerTest {
 protected:
  Peer client(std::string_view frames) {
    return request(str(http::kH2Preface, frame(4, 0, 0, ""), frames));
  }
  // What the client got since the last call, in words.
  std::string told(Peer& client) {
    settle();
    in += client.received();
    client.discard();
    return describe_frames(in);
  }
  std::string in;
};

}  // namespace pillion::testing
