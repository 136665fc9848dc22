#pragma once
// What connections to the hosts of a cluster are like, as configured.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/http/h2_options.h"
#include "proxy/http/limits.h"
#include "proxy/http/message.h"
#include "proxy/io/address.h"
#include "proxy/io/socket.h"
#include "proxy/tls/context_slot.h"
#include "proxy/upstream/limits.h"
#include "proxy/upstream/transport_labels.h"

namespace pillion::upstream {

// Which HTTP the connections of a pool speak; of kAuto each decides by ALPN.
enum class PoolProtocol : uint8_t { kHttp1, kHttp2, kAuto };

// HttpProtocolOptions.upstream_protocol_options: explicit, auto_config, and the protocol of the
// client's request.
enum class UpstreamProtocol : uint8_t { kHttp1, kHttp2, kAuto, kDownstream };

// The transport socket of hosts that have certain labels (Cluster.TransportSocketMatch).
struct TransportMatch {
  std::string name;
  LabelSet labels;                              // all that a host must have; none: any host
  std::shared_ptr<const tls::ContextSlot> tls;  // null: plain text
  friend bool operator==(const TransportMatch&, const TransportMatch&) = default;
};

struct PoolOptions {
  http::H1Limits head_limits;  // of HTTP/2 as well
  http::H2Options h2;
  UpstreamProtocol protocol = UpstreamProtocol::kHttp1;
  io::SocketOptions socket;
  io::Address source;                                  // kNone: chosen by the kernel
  io::Address extra_source;                            // of the other IP family than `source`
  std::shared_ptr<const tls::ContextSlot> tls;         // null: plain text; of hosts without match
  std::vector<TransportMatch> transport_matches;       // the first one counts
  Duration connect_timeout = std::chrono::seconds(5);  // of TLS too
  Duration idle_timeout = std::chrono::seconds(60);    // 0: never
  Duration max_connection_duration{};                  // 0: none
  uint32_t max_requests_per_connection = 0;            // 0: no limit
  LimitValues limits;

  // A request that asks for an upgrade needs HTTP/1 where there is a choice, unless HTTP/2 is
  // allowed to carry it.
  [[nodiscard]] PoolProtocol protocol_for(const http::RequestHead& request) const noexcept {
    switch (protocol) {
      case UpstreamProtocol::kHttp1:
        break;
      case UpstreamProtocol::kHttp2:
        return PoolProtocol::kHttp2;
      case UpstreamProtocol::kAuto:
        return may_use_http2(request) ? PoolProtocol::kAuto : PoolProtocol::kHttp1;
      case UpstreamProtocol::kDownstream:
        return request.protocol == http::Protocol::kHttp2 && may_use_http2(request)
                   ? PoolProtocol::kHttp2
                   : PoolProtocol::kHttp1;
    }
    return PoolProtocol::kHttp1;
  }
  // Of a host's first pool, which is there from the start.
  [[nodiscard]] PoolProtocol main_protocol() const noexcept {
    if (protocol == UpstreamProtocol::kAuto) return PoolProtocol::kAuto;
    return protocol == UpstreamProtocol::kHttp2 ? PoolProtocol::kHttp2 : PoolProtocol::kHttp1;
  }
  [[nodiscard]] bool may_use_http2(const http::RequestHead& request) const noexcept {
    return request.upgrade.empty() || (h2.allow_connect && request.framing == http::Framing::kNone);
  }
  // Of a host with these labels, or null: then it is `tls`.  As Envoy, all matches are tried with
  // the host's own labels first, and only then with those of its locality.
  [[nodiscard]] const TransportMatch* match_for(const LabelSet& own,
                                                const LabelSet& of_locality) const noexcept {
    if (const TransportMatch* match = match_for(own)) return match;
    return of_locality.empty() ? nullptr : match_for(of_locality);
  }
  // `labels` of the host; may be null.  Null: plain text.
  [[nodiscard]] const tls::ContextSlot* tls_for(const TransportLabels* labels) const noexcept {
    static const TransportLabels kNone;
    const TransportLabels& of = labels == nullptr ? kNone : *labels;
    return tls_of(match_for(of.own, of.of_locality));
  }
  [[nodiscard]] const tls::ContextSlot* tls_of(const TransportMatch* match) const noexcept {
    return match == nullptr ? tls.get() : match->tls.get();
  }
  // Calls fn(slot) for each socket with TLS.
  template <typename Fn>
  void for_each_tls(Fn&& fn) const {
    if (tls != nullptr) fn(tls);
    for (const TransportMatch& match : transport_matches) {
      if (match.tls != nullptr) fn(match.tls);
    }
  }
  [[nodiscard]] bool may_use_tls() const noexcept {
    bool out = false;
    for_each_tls([&out](const auto&) { out = true; });
    return out;
  }
  friend bool operator==(const PoolOptions&, const PoolOptions&) = default;
  [[nodiscard]] const io::Address& source_for(const io::Address& host) const noexcept {
    return extra_source.kind() == host.kind() ? extra_source : source;
  }

 private:
  [[nodiscard]] const TransportMatch* match_for(const LabelSet& labels) const noexcept {
    for (const TransportMatch& match : transport_matches) {
      if (contains(labels, match.labels)) return &match;
    }
    return nullptr;
  }
};

size_t value_hash(const PoolOptions& options) noexcept;

}  // namespace pillion::upstream
