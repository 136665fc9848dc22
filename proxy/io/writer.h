#pragma once
// Writer: the sending side of one connection.  Gathers pieces within a turn and sends them with one
// system call; keeps a copy of only what the peer did not take.
//
// All Writers of a loop share one WriteBatch, which holds the pieces of the Writer that is being
// filled right now.  Pieces may point into the loop's scratch, so a batch must be flushed before
// the next read into scratch: whoever reads calls WriteBatch::flush() when it is done processing.
//
//   writer.reserve(n) + commit | add(view) | append_copy(view)   any number of times
//   batch.flush()                                                once, before returning to the loop

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/io/loop.h"
#include "proxy/io/transport.h"

namespace pillion::io {

class Writer;

// One per worker; outlives its Writers.  Flushes itself at the end of the turn if nobody did.
class WriteBatch final : private ReadyTask {
 public:
  static constexpr size_t kTextBytes = 64 * 1024;
  static constexpr int kPieces = 64;

  explicit WriteBatch(Loop& loop) : loop_(loop), text_(new char[kTextBytes]) {
    loop_.set_flusher(this);
  }
  ~WriteBatch() { loop_.set_flusher(nullptr); }
  WriteBatch(const WriteBatch&) = delete;
  WriteBatch& operator=(const WriteBatch&) = delete;
  // Sends what the current Writer gathered.
  void flush();
  [[nodiscard]] Loop& loop() noexcept { return loop_; }
  // Bytes of text gathered and not sent yet, be they of one Writer or of another.
  [[nodiscard]] size_t gathered() const noexcept { return used_; }

 private:
  friend class Writer;
  void run_ready() override { flush(); }
  Loop& loop_;
  std::unique_ptr<char[]> text_;
  std::unique_ptr<char[]>
      large_;  // reserved by owner_ and not committed yet: more than text_ holds
  size_t used_ = 0;
  int count_ = 0;
  Writer* owner_ = nullptr;
  iovec pieces_[kPieces];
};

class WriterObserver {
 public:
  // The backlog is empty again after it was not: sources may be resumed.
  virtual void on_drained() = 0;
  // Writing failed; reported once, from flush().  Only mark it: the reader side will end things.
  virtual void on_write_failed() = 0;

 protected:
  ~WriterObserver() = default;
};

class Writer {
 public:
  Writer(WriteBatch& batch, WriterObserver& observer) noexcept
      : batch_(batch), observer_(observer) {}
  ~Writer() { detach(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void set_transport(Transport& transport) noexcept { transport_ = &transport; }

  // `size` contiguous bytes to be filled and then committed in full; nothing else of this loop's
  // writers may be called in between.
  char* reserve(size_t size);
  void commit(size_t size);
  // Bytes that stay where they are until the batch is flushed.
  void add(std::string_view bytes);
  void append_copy(std::string_view bytes) {
    if (bytes.empty()) return;
    char* to = reserve(bytes.size());
    std::copy(bytes.begin(), bytes.end(), to);
    commit(bytes.size());
  }

  // Ends our direction (FIN) once all that was added is with the transport.  Nothing may be added
  // after.
  void end();

  // From the transport's on_writable.
  void on_writable();
  // Bytes not yet handed to the transport, and those it holds.
  [[nodiscard]] size_t backlog() const noexcept;
  // Sends what any Writer of this loop gathered; before scratch is read into again.
  void flush_batch() { batch_.flush(); }
  // The time of the loop's turn.
  [[nodiscard]] Instant now() const noexcept { return batch_.loop().now(); }
  [[nodiscard]] uint64_t turn() const noexcept { return batch_.loop().counts.turns; }
  [[nodiscard]] bool has_failed() const noexcept { return failed_; }
  [[nodiscard]] uint64_t bytes_sent() const noexcept { return sent_; }
  // Those, and what still waits for the batch's flush or for the peer.
  [[nodiscard]] uint64_t bytes_added() const noexcept;
  // Forgets everything; the transport is about to close.
  void detach() noexcept;

 private:
  friend class WriteBatch;
  void own_batch();
  void take_batch();
  void flush_pieces(const iovec* pieces, int count);
  void write_backlog();
  void end_if_empty();
  void fail();

  WriteBatch& batch_;
  WriterObserver& observer_;
  Transport* transport_ = nullptr;
  Buffer backlog_;
  uint64_t sent_ = 0;
  bool failed_ = false;
  bool ending_ = false;
};

}  // namespace pillion::io
