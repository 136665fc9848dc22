#include "proxy/core/inspection.h"

#include <algorithm>

#include "proxy/base/str.h"

namespace pillion::core {

Inspection::Inspection(Listener& listener, WorkerContext& worker,
                       std::unique_ptr<io::Socket> socket, const ConnectionInfo& info)
    : listener_(listener), worker_(worker), socket_(std::move(socket)), info_(info) {}

void Inspection::start() {
  const Duration timeout = listener_.config().listener_filters_timeout;
  if (timeout != Duration{}) worker_.loop.arm(timer_, timeout);
  socket_->start(*this);
  on_readable();
}

void Inspection::on_readable() {
  const std::span<char> room = worker_.loop.scratch().first(16 * 1024);
  const io::IoResult r = socket_->read(room.data(), room.size());
  if (r.status == io::IoStatus::kAgain) return;
  if (r.status != io::IoStatus::kOk) {
    if (bytes_.empty()) {
      if (looks_for_tls()) listener_.inspector_stats_->connection_closed.inc();
      return give_up();
    }
    return finish();  // it said something and ended: let the chain's terminal answer
  }
  bytes_.insert(bytes_.end(), room.begin(), room.begin() + static_cast<ptrdiff_t>(r.bytes));
  if (decide()) return finish();
  socket_->watch();
}

// True when all inspectors know what they need.
bool Inspection::decide() {
  const Inspectors inspectors = inspectors_of(listener_.config(), info_.local.port());
  const std::string_view bytes(bytes_.data(), bytes_.size());
  if (inspectors.tls) {
    hello_ = {};
    const Sniff sniff = sniff_tls(bytes, scratch_, hello_);
    if (sniff == Sniff::kNeedMore) return false;
    if (sniff == Sniff::kTls) {
      count_hello();
      sniffed_.is_tls = true;
      server_name_.assign(hello_.server_name);
      std::transform(server_name_.begin(), server_name_.end(), server_name_.begin(), to_lower);
      sniffed_.server_name = server_name_;
      sniffed_.alpn = hello_.alpn;
      return true;
    }
  }
  if (inspectors.http) {
    const Sniff sniff = sniff_http(bytes);
    if (sniff == Sniff::kNeedMore) return false;
    if (sniff == Sniff::kHttp1) sniffed_.alpn = {"http/1.1", "http/1.0"};
    if (sniff == Sniff::kHttp2) sniffed_.alpn = {"h2c"};
  }
  return true;
}

void Inspection::count_hello() {
  stats::TlsInspectorStats& stats = *listener_.inspector_stats_;
  stats.tls_found.inc();
  (hello_.server_name.empty() ? stats.sni_not_found : stats.sni_found).inc();
  (hello_.alpn.empty() ? stats.alpn_not_found : stats.alpn_found).inc();
}

void Inspection::on_timeout() {
  if (listener_.config().continue_on_listener_filters_timeout) return finish();
  listener_.stats_->downstream_pre_cx_timeout.inc();
  give_up();
}

void Inspection::give_up() {
  close();
  listener_.count_closed();
  listener_.end_inspection(*this);
}

void Inspection::close() {
  timer_.cancel();
  if (socket_ == nullptr) return;
  socket_->close();
  worker_.loop.delete_later(std::move(socket_));
}

bool Inspection::looks_for_tls() const {
  return inspectors_of(listener_.config(), info_.local.port()).tls;
}

void Inspection::finish() {
  timer_.cancel();
  if (looks_for_tls() && !sniffed_.is_tls) listener_.inspector_stats_->tls_not_found.inc();
  sniffed_.first_bytes = {bytes_.data(), bytes_.size()};
  socket_->unread({bytes_.data(), bytes_.size()});
  listener_.begin(std::move(socket_), info_, sniffed_);
  listener_.end_inspection(*this);
}

}  // namespace pillion::core
