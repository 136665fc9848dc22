#pragma once
// `pillion explain`: what would happen to a request, and why, decided by the code that decides it
// when the proxy runs.  Nothing is sent and no name is resolved.

#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/builder/snapshot.h"
#include "proxy/io/address.h"

namespace pillion::cli {

struct ExplainRequest {
  std::string method;
  std::string url;                   // "http://users:8080/x"
  std::vector<std::string> headers;  // "name: value"
  std::string listener;              // empty: the outbound one if there is one, else the first
  io::Address source;                // kNone: loopback (the app) outbound, else a host elsewhere
  io::Address destination;           // where the client meant to go; kNone: as the URL says
  bool is_tls = false;               // the connection is TLS, whatever the URL says
  std::string caller;                // SPIFFE id that the client has proven; empty: none
};

// "GET http://users/users/7" or "http://users/users/7" -> method and url.
Result<ExplainRequest> parse_explain_request(std::string_view text);

class Facts;

// One fact a line, or why the question makes no sense.  `facts`: of the proxy that runs with the
// snapshot; null: none does.
Result<std::vector<std::string>> explain(const Snapshot& snapshot, const ExplainRequest& request,
                                         Facts* facts = nullptr);

}  // namespace pillion::cli
