// A health check by connecting, and perhaps by what the host says then.
#include <algorithm>
#include <utility>

#include "proxy/upstream/health_probe.h"

namespace pillion::upstream {
namespace {

// More than this before all that is expected has come: it will not come.
constexpr size_t kMostReceived = 64 * 1024;

bool has_all(std::string_view received, const std::vector<std::string>& expected) {
  size_t from = 0;
  for (const std::string& part : expected) {
    const size_t at = received.find(part, from);
    if (at == std::string_view::npos) return false;
    from = at + part.size();
  }
  return true;
}

class TcpProbe final : public Probe, private io::TransportObserver {
 public:
  explicit TcpProbe(const Context& context) : context_(context) {}
  ~TcpProbe() override { cancel(); }

  void start() override {
    received_.clear();
    sent_ = 0;
    waiting_ = true;
    if (transport_ != nullptr) return send();
    transport_ = make_probe_transport(context_, {});
    transport_->start(*this);
  }
  void cancel() override {
    waiting_ = false;
    close();
  }

 private:
  [[nodiscard]] const TcpCheck& check() const { return context_.config.health_check->tcp; }

  void on_connected() override {
    if (!check().receive.empty()) return send();
    close();
    finish({});
  }
  void on_writable() override { send(); }
  void on_closed(Failure failure) override { fail(failure); }
  void on_readable() override {
    // To read is also how the end of a resting connection is noticed.
    char part[4096];
    while (transport_ != nullptr) {
      const io::IoResult r = transport_->read(part, sizeof part);
      if (r.status == io::IoStatus::kAgain) return;
      if (r.status == io::IoStatus::kEof) return fail({FailureKind::kUpstreamClosed});
      if (r.status == io::IoStatus::kError) return fail(transport_->failure());
      take({part, r.bytes});
      if (r.bytes < sizeof part) return;
    }
  }

  void send() {
    if (!waiting_) return;
    const std::string& text = check().send;
    while (sent_ < text.size()) {
      const iovec piece{const_cast<char*>(text.data()) + sent_, text.size() - sent_};
      const io::IoResult r = transport_->write(&piece, 1);
      if (r.status == io::IoStatus::kAgain) return;
      if (r.status != io::IoStatus::kOk) return fail(transport_->failure());
      if (r.bytes == 0) return;
      sent_ += r.bytes;
    }
    transport_->watch();
  }

  void take(std::string_view bytes) {
    if (!waiting_) return;
    received_ += bytes;
    if (has_all(received_, check().receive)) {
      if (!context_.config.health_check->reuse_connection) close();
      return finish({});
    }
    if (received_.size() < kMostReceived) return;
    close();
    finish({ProbeResult::Kind::kNetwork, false, false, false, "unexpected answer"});
  }

  void fail(Failure failure) {
    const std::string reason = probe_failure_reason(failure, transport_->failure_reason());
    close();
    finish({ProbeResult::Kind::kNetwork, false, false, false, reason});
  }
  void close() {
    if (transport_ == nullptr) return;
    transport_->close();
    context_.loop.delete_later(std::move(transport_));
  }
  void finish(const ProbeResult& result) {
    if (std::exchange(waiting_, false)) context_.owner.on_probe_done(result);
  }

  const Context context_;
  std::unique_ptr<io::Transport> transport_;
  std::string received_;
  size_t sent_ = 0;
  bool waiting_ = false;  // a check goes on; else the connection rests
};

}  // namespace

std::unique_ptr<Probe> make_tcp_probe(const Probe::Context& context) {
  return std::make_unique<TcpProbe>(context);
}

}  // namespace pillion::upstream
