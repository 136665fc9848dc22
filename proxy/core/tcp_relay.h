#pragma once
// TcpRelay: bytes between two connected transports, both ways, until both have ended.
//
// Owned by its user (TcpProxy), as are the transports, which outlive it.  Small traffic is copied
// through the loop's scratch; a direction that proves to be bulk goes on by splice when both sides
// are plain sockets.  A side that does not read stalls the other side, never memory: at most one
// scratch (copy) or one pipe (splice) is held per direction, and a pipe only while bytes are in it.
// A FIN is passed on as a FIN after the bytes before it, a reset as a reset.

#include <cstdint>

#include "proxy/base/clock.h"
#include "proxy/io/loop.h"
#include "proxy/io/transport.h"
#include "proxy/io/writer.h"

namespace pillion::core {

class TcpRelay {
 public:
  enum class Side : uint8_t { kDownstream, kUpstream };
  class Observer {
   public:
    // Bytes moved; for idle deadlines and counters.
    virtual void on_relayed(Side from, size_t bytes) = 0;
    // It is over: in order (failure kNone), or because `side` broke.  Both transports are the
    // observer's to close; a broken side's partner is to be reset.
    // The relay is on the stack: it dies later in the turn at the earliest.
    virtual void on_relay_done(Side side, Failure failure) = 0;

   protected:
    ~Observer() = default;
  };

  TcpRelay(io::WriteBatch& batch, Observer& observer);
  // Takes over the observation of both transports.  `early` are bytes already read from downstream.
  void start(io::Transport& downstream, io::Transport& upstream, std::string_view early);
  // Silences both; call before the transports are closed.
  void stop();

 private:
  // What holds bytes of a direction; there only while it does.
  struct Outgoing;
  struct Direction final : io::TransportObserver, io::WriterObserver {
    Direction(TcpRelay& relay, Side from) : relay_(relay), from_side_(from) {}
    ~Direction();
    Outgoing& outgoing();
    [[nodiscard]] size_t held() const noexcept;
    void rest();
    void stop();
    void on_readable() override;
    void on_writable() override;  // room in *our* transport: the other direction continues
    void on_closed(Failure failure) override;
    void on_drained() override;
    void on_write_failed() override;
    void copy();
    void splice();
    void drain_pipe();
    void on_eof();
    void finish_if_flushed();

    TcpRelay& relay_;
    io::Transport* from_ = nullptr;
    io::Transport* to_ = nullptr;
    Outgoing* outgoing_ = nullptr;  // owned
    Side from_side_;
    [[nodiscard]] Side to_side() const noexcept {
      return from_side_ == Side::kDownstream ? Side::kUpstream : Side::kDownstream;
    }
    bool splicing_ = false;
    bool eof_ = false;
    bool done_ = false;  // FIN passed on
  };
  Direction& other(const Direction& d) noexcept { return &d == &down_ ? up_ : down_; }
  void fail(Side side, Failure failure);
  void direction_done();

  io::WriteBatch& batch_;
  Observer& observer_;
  Direction down_;  // from downstream
  Direction up_;    // from upstream
  bool stopped_ = false;
};

}  // namespace pillion::core
