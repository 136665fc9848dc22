#pragma once
// GrpcCall: one call of a gRPC method through a ClusterClient: messages out, whole messages in, and
// a status at the end.  Unary, streaming or both ways: that is up to who sends how much.
//
//   GrpcCall call(client, observer, max_message_bytes);        a member of who calls
//   call.open({.cluster = "sds", .path = "/package.Service/Method"});
//   call.send(message, last)*
//      on_grpc_message* on_grpc_end                            once for each open()
//   call.open(...)                                             again, as often as is liked
//
// Inside of a callback close(), open() and send() are legal, to destroy the call is not.  open()
// gives up a call that is under way, and so does the destructor; nothing is told of it then.
// Nothing is retried here.
//
// What ends a call becomes a status of gRPC: that of the trailers, or of the head (Trailers-Only);
// a status of HTTP other than 200 by gRPC's table; UNAVAILABLE without a connection,
// DEADLINE_EXCEEDED after the timeout, INTERNAL for a message that is cut off, compressed or larger
// than the limit (gRPC over HTTP/2, "Responses"; doc/http-grpc-status-mapping.md).
//
// Single-threaded, on the loop of the client.  Memory: one message that is not complete.

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "proxy/http/grpc_frames.h"
#include "proxy/upstream/cluster_client.h"

namespace pillion::upstream {

// The codes of gRPC that callers tell apart.
inline constexpr uint32_t kGrpcOk = 0;
inline constexpr uint32_t kGrpcUnknown = 2;
inline constexpr uint32_t kGrpcInvalidArgument = 3;
inline constexpr uint32_t kGrpcDeadlineExceeded = 4;
inline constexpr uint32_t kGrpcUnimplemented = 12;
inline constexpr uint32_t kGrpcInternal = 13;
inline constexpr uint32_t kGrpcUnavailable = 14;
inline constexpr uint32_t kGrpcUnauthenticated = 16;

// Everything is copied by open().
struct GrpcMethod {
  std::string_view cluster;
  std::string_view path;                     // "/package.Service/Method"
  std::string_view authority = {};           // empty: the cluster's name
  std::span<const CallField> metadata = {};  // names in lower case
  Duration timeout{};                        // of the whole call; the server is told.  Zero: none
};

struct GrpcEnd {
  uint32_t status = kGrpcOk;
  // One line for people, bounded and printable: "grpc-status 7: no identity issued", "HTTP status
  // 503", "Connection refused".  Valid during the call.
  std::string_view reason;
  bool is_from_server = false;  // the server said so; else there was no answer, or no sound one
};

class GrpcCallObserver {
 public:
  // Valid during the call, and until open().
  virtual void on_grpc_message(std::string_view message) = 0;
  // The server takes the call: all that was sent is with it, and it has spoken (HTTP/2: its
  // SETTINGS have come).  Again whenever that was not so for a while.
  virtual void on_grpc_drained() {}
  // The call is closed.
  virtual void on_grpc_end(const GrpcEnd& end) = 0;

 protected:
  ~GrpcCallObserver() = default;
};

class GrpcCall final : private ClientCallObserver {
 public:
  // Both outlive it.
  GrpcCall(ClusterClient& client, GrpcCallObserver& observer, size_t max_message_bytes)
      : client_(client), observer_(observer), frames_(max_message_bytes) {}
  GrpcCall(const GrpcCall&) = delete;
  GrpcCall& operator=(const GrpcCall&) = delete;

  void open(const GrpcMethod& method);
  // `last`: the server hears that no further message comes.
  void send(std::string_view message, bool last) { send({message}, last); }
  // One message, in parts; large ones need not be copied together.
  void send(std::initializer_list<std::string_view> parts, bool last);
  void close() noexcept { call_.reset(); }
  [[nodiscard]] bool is_open() const noexcept { return call_ != nullptr; }

  // The server does not take what was sent as fast as it comes (ClientCall::is_backed_up).
  [[nodiscard]] bool is_backed_up() const noexcept { return call_->is_backed_up(); }
  // Stops and restarts the answers; what was read already may still arrive.
  void pause() { call_->pause(); }
  void resume() { call_->resume(); }

 private:
  void on_call_head(const http::ResponseHead& head, bool end) override;
  void on_call_data(std::string_view data, bool end) override;
  void on_call_trailers(const http::Headers& trailers) override;
  void on_call_failed(Failure failure, std::string_view reason) override;
  void on_call_drained() override { observer_.on_grpc_drained(); }
  void end(uint32_t status, std::string_view reason, bool is_from_server);

  ClusterClient& client_;
  GrpcCallObserver& observer_;
  ClientCallPtr call_;
  http::GrpcFrames frames_;
  uint64_t number_ = 0;  // of the call
};

// The value of grpc-timeout: "250m"; at most eight digits, so that long times get a coarser unit.
std::string grpc_timeout_text(Duration timeout);

}  // namespace pillion::upstream
