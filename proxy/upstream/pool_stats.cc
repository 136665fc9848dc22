// What a Pool counts, and says, of its connections.
#include "proxy/base/log.h"
#include "proxy/upstream/connect.h"
#include "proxy/upstream/pool_entry.h"

namespace pillion::upstream {
namespace {

using Event = http::ClientConnection::Event;

}  // namespace

void Pool::count_closed(const Entry& entry, Failure failure) {
  log_closed(entry, failure);
  stats::ClusterStats& s = traffic();
  s.upstream_cx_active.dec();
  counters_.cx_active.dec();
  s.upstream_cx_destroy.inc();
  s.upstream_cx_length_ms.record(loop_.now() - entry.began);
  // An exchange that ended in order is no longer a request in progress.
  const bool was_active = entry.active != 0 && failure.kind != FailureKind::kNone;
  if (was_active) s.upstream_cx_destroy_with_active_rq.inc();
  if (entry.connection->ended_by_peer()) {
    s.upstream_cx_destroy_remote.inc();
    if (was_active) s.upstream_cx_destroy_remote_with_active_rq.inc();
    return;
  }
  s.upstream_cx_destroy_local.inc();
  if (was_active) s.upstream_cx_destroy_local_with_active_rq.inc();
  const bool asked_to = entry.active != 0 && !was_active && !entry.connection->keeps_alive();
  if (asked_to) s.upstream_cx_close_notify.inc();
}

// Of those that ended while nobody used them only at trace.
void Pool::log_closed(const Entry& entry, Failure failure) const {
  if (!log::enabled(log::kPool, log::Level::kDebug)) return;
  const std::string reason = transport_failure_reason(*entry.transport, failure);
  const std::string_view cause = reason.empty() ? failure.row().details : std::string_view(reason);
  const std::string_view ended_by = entry.connection->ended_by_peer() ? "peer" : "us";
  if (!entry.connected) {
    log::debug(log::kPool, "connect failed",
               {{"cluster", config_->name.view()}, {"host", host_.address}, {"reason", cause}});
  } else if (entry.active != 0 && failure) {
    log::debug(log::kPool, "connection closed with an error",
               {{"cluster", config_->name.view()},
                {"host", host_.address},
                {"reason", cause},
                {"by", ended_by}});
  } else {
    log::trace(log::kPool, "connection closed",
               {{"cluster", config_->name.view()}, {"host", host_.address}, {"by", ended_by}});
  }
}

void Pool::count_sent(Entry& entry) {
  const uint64_t sent = entry.connection->bytes_sent();
  traffic().upstream_cx_tx_bytes_total.add(sent - entry.sent_counted);
  entry.sent_counted = sent;
}

void Pool::on_client_bytes(uint64_t received, uint64_t) {
  traffic().upstream_cx_rx_bytes_total.add(received);
}

void Pool::on_client_event(http::ClientConnection& connection, Event event) {
  connection.protocol() == http::Protocol::kHttp2 ? count_h2_event(event) : count_h1_event(event);
}

void Pool::count_h1_event(Event event) {
  stats::ClusterHttp1Stats& h1 = *stats_.http1;
  switch (event) {
    case Event::kTruncated:
      h1.responses_truncated.inc();
      break;
    case Event::kUnsolicited:
      h1.unsolicited_bytes.inc();
      break;
    case Event::kMalformed:
      h1.responses_rejected_malformed.inc();
      break;
    case Event::kTooLarge:
      h1.responses_rejected_too_large.inc();
      break;
    case Event::kInterimFlood:
      h1.responses_rejected_interim_flood.inc();
      break;
    default:
      return;
  }
  traffic().upstream_cx_protocol_error.inc();
}

void Pool::count_h2_event(Event event) {
  stats::ClusterHttp2Stats& h2 = *stats_.http2;
  switch (event) {
    case Event::kStreamBegun:
      return h2.streams_active.inc();
    case Event::kStreamEnded:
      return h2.streams_active.dec();
    case Event::kResetByPeer:
      return h2.rx_reset.inc();
    case Event::kResetByUs:
      return h2.tx_reset.inc();
    case Event::kStreamRefused:
      return h2.stream_refused_errors.inc();
    case Event::kTrailers:
      return h2.trailers.inc();
    case Event::kKeepaliveTimeout:
      return h2.keepalive_timeout.inc();
    case Event::kGoawaySent:
      return h2.goaway_sent.inc();
    case Event::kCutOff:
      return h2.streams_cut_off.inc();
    case Event::kTruncated:
    case Event::kUnsolicited:
      return;
    case Event::kMalformed:
      h2.rx_messaging_error.inc();
      break;
    case Event::kTooLarge:
      h2.header_overflow.inc();
      break;
    case Event::kInterimFlood:
      h2.interim_flood.inc();
      break;
    case Event::kConnectionError:
      break;
  }
  traffic().upstream_cx_protocol_error.inc();
}

void Pool::on_client_flood(http::ClientConnection&, http::H2Flood flood) {
  if (stats::Counter* counter = http::counter_of(*stats_.http2, flood)) counter->inc();
  traffic().upstream_cx_protocol_error.inc();
}

void Pool::note_failure(const Entry& entry, Failure failure) {
  std::string reason = transport_failure_reason(*entry.transport, failure);
  static log::Limit limit{std::chrono::seconds(5)};
  log::warning(limit, log::kUpstream, "upstream connect failed",
               {{"cluster", config_->name.view()},
                {"host", host_.address},
                {"reason", reason.empty() ? failure.row().details : std::string_view(reason)}});
  if (!last_failure_) last_failure_ = std::make_unique<std::string>();
  *last_failure_ = std::move(reason);
}

}  // namespace pillion::upstream
