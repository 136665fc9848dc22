#include "proxy/upstream/tcp_stream.h"

#include <algorithm>
#include <utility>

#include "proxy/base/assert.h"

namespace pillion::upstream {

using CloseMode = io::Transport::CloseMode;

TcpStream::TcpStream(io::Loop& loop, io::WriteBatch& batch, Cluster& cluster, Host& host,
                     Owner& owner, http::ResponseSink& sink)
    : loop_(loop),
      batch_(batch),
      owner_(owner),
      sink_(&sink),
      connection_(loop, cluster, host, static_cast<TcpConnection::Owner&>(*this)),
      writer_(batch, *this) {}

TcpStream::~TcpStream() { DASSERT(!connection_.is_open()); }

void TcpStream::on_tcp_connected() {
  io::Transport& transport = connection_.transport();
  writer_.set_transport(transport);
  transport.start(*this);
  owner_.on_tcp_ready();
  // What came before is not announced again.
  if (!closed_) connection_.transport().read_again();
}

void TcpStream::on_tcp_failed(Failure failure) {
  closed_ = true;
  sink_ = nullptr;
  loop_.delete_later(this);
  owner_.on_tcp_refused(failure, connection_.failure_reason());
}

void TcpStream::send_body(std::string_view data, bool end) {
  if (closed_) return;
  connection_.count_bytes(0, data.size());
  writer_.add(data);
  if (!end) return;
  send_ended_ = true;
  writer_.end();
}

void TcpStream::on_readable() {
  if (closed_ || receive_ended_) return;
  std::span<char> room = loop_.scratch();
  room = room.first(std::clamp<size_t>(sink_->read_limit(), 1, room.size()));
  const io::IoResult r = connection_.transport().read(room.data(), room.size());
  switch (r.status) {
    case io::IoStatus::kOk:
      received_ += r.bytes;
      connection_.count_bytes(r.bytes, 0);
      connection_.transport().watch();
      sink_->on_response_body({room.data(), r.bytes}, false);
      break;
    case io::IoStatus::kEof:
      on_eof();
      break;
    case io::IoStatus::kError:
      lose(connection_.transport().failure());
      break;
    case io::IoStatus::kAgain:
      return;
  }
  batch_.flush();  // what went up lies in scratch, which the next read takes
}

void TcpStream::on_eof() {
  receive_ended_ = true;
  if (!send_ended_ || writer_.backlog() != 0) {
    // A level-triggered FIN would be reported for ever.
    connection_.transport().pause(io::PauseReason::kDraining);
    return sink_->on_response_half_closed();
  }
  http::ResponseSink* sink = end_sink();
  close(CloseMode::kOrderly, true);
  sink->on_response_body({}, true);
}

void TcpStream::on_drained() {
  if (sink_ != nullptr) sink_->on_request_drained();
}

// Not on the stack of whoever sends.
void TcpStream::on_write_failed() {
  if (!closed_) loop_.post(*this);
}

void TcpStream::lose(Failure failure) {
  if (closed_) return;
  if (failure.kind != FailureKind::kPeerGone) failure.kind = FailureKind::kUpstreamReset;
  http::ResponseSink* sink = end_sink();
  close(CloseMode::kReset, true);
  if (sink != nullptr) sink->on_upstream_reset(failure);
}

void TcpStream::reset() {
  if (closed_) return;
  end_sink();
  // What the server has got must not look like all.
  close(send_ended_ && receive_ended_ ? CloseMode::kOrderly : CloseMode::kReset, false);
}

void TcpStream::pause_response() {
  if (!closed_) connection_.transport().pause(io::PauseReason::kPeerFull);
}

void TcpStream::resume_response() {
  if (!closed_) connection_.transport().resume(io::PauseReason::kPeerFull);
}

http::ResponseSink* TcpStream::end_sink() {
  http::ResponseSink* sink = std::exchange(sink_, nullptr);
  if (sink != nullptr) sink->on_wire_bytes(writer_.bytes_added(), received_);
  return sink;
}

void TcpStream::close(CloseMode mode, bool remote) {
  closed_ = true;
  ListNode<io::ReadyTag>::unlink();
  writer_.detach();
  connection_.close(mode, remote);
  loop_.delete_later(this);
}

}  // namespace pillion::upstream
