#pragma once
// ClusterClient: how what runs on a loop of its own, above all control (xDS, SDS, OTLP, JWKS),
// calls an upstream: by the name of a cluster, through the same Cluster, Pool and UpstreamStream as
// the requests of workers.  There is no second HTTP client.
//
// A call is one HTTP exchange, as long as both sides like: one request with a body, or a
// bidirectional gRPC stream.
//
//   call = client.open("collector", {.path = "/v1/traces", .content_length = n}, *this);
//   call->send(body, true);
//      on_call_head ( on_call_data* on_call_trailers? ), or at any point on_call_failed
//   call.reset();                       // at the end, or to give it up; legal inside a callback
//
// What becomes of a call counts for outlier detection, as what becomes of a request does.
//
// The end is `end == true`, on_call_trailers or on_call_failed: nothing follows it, whatever became
// of the request.  open() and send() never call the observer on the caller's stack.  Nothing is
// retried here: whoever calls knows better when and what to say again.
//
// Single-threaded: everything happens on the loop of the client.  The client outlives its calls.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "proxy/base/clock.h"
#include "proxy/base/failure.h"
#include "proxy/http/message.h"

namespace pillion::upstream {

struct CallField {
  std::string_view name;  // lower case
  std::string_view value;
};

// The head of a request.  Everything is copied by open().
struct CallHead {
  std::string_view method = "POST";
  std::string_view path = {};                   // with the query
  std::string_view authority = {};              // empty: the cluster's name
  std::span<const CallField> fields = {};       // without Host and framing fields
  std::optional<uint64_t> content_length = {};  // none: as much as is sent
  bool accepts_trailers = false;                // TE: trailers, which gRPC demands
  Duration timeout{};                           // from open() to the end; zero: none
};

// Views and heads are valid during the call only.
class ClientCallObserver {
 public:
  virtual void on_call_head(const http::ResponseHead& head, bool end) = 0;
  virtual void on_call_data(std::string_view data, bool end) = 0;
  virtual void on_call_trailers(const http::Headers& trailers) = 0;
  // No such cluster, no host, no connection, a broken one, or the timeout
  // (kRequestTimeoutUpstream). `reason` says more than failure.row() where the transport does
  // ("Connection refused").
  virtual void on_call_failed(Failure failure, std::string_view reason) = 0;
  // There is a connection whose peer takes what was sent; and again after
  // ClientCall::is_backed_up().
  virtual void on_call_drained() {}

 protected:
  ~ClientCallObserver() = default;
};

// Owned by whoever opened it, by a ClientCallPtr.
class ClientCall {
 public:
  // More of the request; `end`: all of it.  Before there is a connection it is kept.  After the end
  // of the call it is dropped.
  virtual void send(std::string_view data, bool end) = 0;
  // The upstream does not take what was sent as fast as it comes; on_call_drained() will tell. More
  // may be sent, and waits in memory.
  [[nodiscard]] virtual bool is_backed_up() const noexcept = 0;
  // Stops and restarts the response; what was read already may still arrive.
  virtual void pause() = 0;
  virtual void resume() = 0;
  // The host that is asked; empty before there is one.
  [[nodiscard]] virtual std::string_view host() const noexcept = 0;

 protected:
  friend struct ClientCallCloser;
  // Gives the call up if it has not ended; it destroys itself when no frame of it is on the stack.
  virtual void close() noexcept = 0;
  ~ClientCall() = default;
};

struct ClientCallCloser {
  void operator()(ClientCall* call) const noexcept { call->close(); }
};
using ClientCallPtr = std::unique_ptr<ClientCall, ClientCallCloser>;

class ClusterClient {
 public:
  // Never null.  `observer` outlives the ClientCallPtr.
  virtual ClientCallPtr open(std::string_view cluster, const CallHead& head,
                             ClientCallObserver& observer) = 0;

 protected:
  ~ClusterClient() = default;
};

}  // namespace pillion::upstream
