#pragma once
// Channel: how BoringSSL reaches the transport below.  One per thread, shared by all its sessions.
//
// A BIO of our own: reading takes from a big block of ciphertext that is filled by one read of the
// lower transport, writing gathers records that end() sends with one write.  Both blocks belong to
// the thread, so a connection that waits holds nothing.  Only what a turn leaves over is copied to
// the connection's Buffers: ciphertext that nobody asked for yet, and records the peer did not
// take.
//
//   channel.begin(ends, bytes_wanted);  SSL_...();  ...;  channel.end();
//
// Between begin() and end() no other session of this thread may run: lower transports make no
// callbacks from read() and write(), and TLS directly over TLS is not supported.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "proxy/base/buffer.h"
#include "proxy/io/transport.h"

struct bio_st;
struct bio_method_st;

namespace pillion::tls {

class Channel {
 public:
  // The connection's side; outlives the span between begin() and end().
  struct Ends {
    io::Transport* lower;
    Buffer* unread;  // ciphertext that was received and not yet decrypted
    Buffer* unsent;  // records that the lower transport did not take
  };
  static Channel& of_thread();
  Channel();
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // A new reference to the thread's BIO, for SSL_set0_rbio and SSL_set0_wbio.
  [[nodiscard]] bio_st* bio_ref() const;

  // `bytes_wanted`: how much plain text the caller has room for; bounds a single read.
  void begin(const Ends& ends, size_t bytes_wanted);
  // Sends what was gathered and saves what was left over.  False if the lower transport broke.
  bool end();
  // Sends what was gathered so far; false if some of it had to be kept, or the transport broke.
  bool send();

  // Is there room for one more record of the largest size without a send()?
  [[nodiscard]] bool has_room_for_record() const noexcept {
    return kOutBytes - out_used_ >= kRecordBytes;
  }
  // Of the current span: the lower transport ended, or broke.
  [[nodiscard]] bool saw_eof() const noexcept { return eof_; }
  [[nodiscard]] bool saw_error() const noexcept { return error_; }
  // All that had arrived has been decrypted.
  [[nodiscard]] bool is_drained() const noexcept { return in_size_ == 0 && drained_; }
  // 16 KiB to gather small pieces of plain text in.
  [[nodiscard]] char* staging() const noexcept { return staging_.get(); }
  static constexpr size_t kStagingBytes = 16 * 1024;

 private:
  static constexpr size_t kInBytes = 128 * 1024;
  static constexpr size_t kRecordBytes = kStagingBytes + 256;
  static constexpr size_t kOutBytes = 4 * kRecordBytes;  // bounds what a slow reader costs

  static const bio_method_st* method();
  static int bio_read(bio_st* bio, char* to, int size);
  static int bio_write(bio_st* bio, const char* from, int size);
  static long bio_ctrl(bio_st* bio, int command, long number, void* pointer);
  bool fill();

  Ends ends_{};
  size_t wanted_ = 0;
  const char* in_ = nullptr;
  size_t in_size_ = 0;
  size_t out_used_ = 0;
  bool drained_ = false;
  bool eof_ = false;
  bool error_ = false;
  std::unique_ptr<char[]> in_block_;
  std::unique_ptr<char[]> out_block_;
  std::unique_ptr<char[]> staging_;
  bio_st* bio_;
};

}  // namespace pillion::tls
