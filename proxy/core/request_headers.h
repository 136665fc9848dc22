#pragma once
// What a connection manager changes in a request before it is routed, and in a response before it
// goes to the client (the rules of Envoy's ConnectionManagerUtility;
// shared/reference/envoy.md 1.4).
//
// Nothing here allocates outside the message's arena.

#include "proxy/base/rng.h"
#include "proxy/core/hcm_config.h"
#include "proxy/core/stream_info.h"
#include "proxy/http/message.h"
#include "proxy/stats/blocks.h"

namespace pillion::core {

// Removes the x-envoy-* control fields that only an internal caller may send, and Pillion treats
// every caller as external (Envoy's default since 1.33); then the host's canonical form, without
// its port and last dot where they are stripped, forwarded address and protocol, request id, via
// and the client's certificate.
void prepare_request(http::RequestHead& head, const HcmConfig& config,
                     const ConnectionInfo& connection, Rng& rng);

// Who the client is by the fields of proxies that config trusts (x-forwarded-for with
// xff_num_trusted_hops), as Envoy finds its downstream remote address; kNone: the peer itself.
// Before prepare_request(), which adds to the field.
io::Address forwarded_client(http::Headers& headers, const HcmConfig& config);

// Counters of the codec that a request came by.
struct UnderscoreCounters {
  stats::Counter& dropped;
  stats::Counter& rejected;
};
// headers_with_underscores_action.  False: the request is to be refused.
bool apply_underscores(http::Headers& headers, Underscores action, UnderscoreCounters counters);

// server, via, date and the request id, as configured.  `date` is the IMF-fixdate of this second.
void prepare_response(http::ResponseHead& head, const HcmConfig& config,
                      std::string_view request_id, std::string_view date);

}  // namespace pillion::core
