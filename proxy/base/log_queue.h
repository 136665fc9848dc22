#pragma once
// LogQueue: lines from one thread on their way to the writer thread.  Bounded, lock-free, in order.
//
// One producer and one consumer.  Records lie in chunks that travel back to the producer, so that
// in steady state nothing is allocated; an empty queue holds one chunk.  A record is published as a
// whole by one store of `published_`: everything the consumer reads was written before it.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pillion {

class LogQueue {
 public:
  static constexpr size_t kChunkBytes = 16 * 1024;

  // Holds at most `limit` bytes of records.
  explicit LogQueue(size_t limit) noexcept : limit_(limit) {}
  ~LogQueue();  // when both threads are done with it
  LogQueue(const LogQueue&) = delete;
  LogQueue& operator=(const LogQueue&) = delete;

  // Producer: false if there is no room, which counts as dropped.
  bool push(uint32_t tag, std::string_view text) noexcept;
  // Producer: bytes pushed since it last returned true; true at most once per `threshold` bytes.
  bool passed(size_t threshold) noexcept {
    if (since_passed_ < threshold) return false;
    since_passed_ = 0;
    return true;
  }

  // Consumer: calls fn(tag, text) for each record published by now.
  template <typename Fn>
  void drain(Fn&& fn) {
    const uint64_t published = published_.load(std::memory_order_acquire);
    uint64_t consumed = consumed_.load(std::memory_order_relaxed);
    while (consumed != published) {
      const Record* record = next_record();
      fn(record->tag, std::string_view(reinterpret_cast<const char*>(record + 1), record->length));
      const size_t bytes = record_bytes(record->length);
      read_at_ += bytes;
      consumed += bytes;
    }
    consumed_.store(consumed, std::memory_order_release);
  }
  // Consumer: is there a record?  Sequentially consistent with push(), for the sleep protocol.
  [[nodiscard]] bool has_records() const noexcept {
    return published_.load(std::memory_order_seq_cst) != consumed_.load(std::memory_order_relaxed);
  }
  // Consumer: frees the chunks that wait for reuse.
  void trim() noexcept;

  // Any thread.
  [[nodiscard]] uint64_t dropped() const noexcept {
    return dropped_.load(std::memory_order_relaxed);
  }
  // The producer is gone; once empty the queue may go, too.
  void orphan() noexcept { orphaned_.store(true, std::memory_order_release); }
  [[nodiscard]] bool is_orphaned() const noexcept {
    return orphaned_.load(std::memory_order_acquire);
  }

 private:
  struct Record {
    uint32_t tag;
    uint32_t length;
  };
  struct Chunk {
    Chunk* next;
    size_t capacity;
    [[nodiscard]] char* data() noexcept { return reinterpret_cast<char*>(this + 1); }
  };
  static constexpr uint32_t kEndOfChunk = UINT32_MAX;  // as `length`: go on in the next chunk

  static constexpr size_t record_bytes(size_t length) noexcept {
    return (sizeof(Record) + length + 7) & ~size_t{7};
  }
  Chunk* take_chunk(size_t bytes) noexcept;
  void open_chunk(size_t bytes) noexcept;
  const Record* next_record() noexcept;
  void give_back(Chunk* chunk) noexcept;

  // Of the producer.
  alignas(64) std::atomic<uint64_t> published_{0};
  const size_t limit_;
  Chunk* write_chunk_ = nullptr;
  size_t write_at_ = 0;
  uint64_t written_ = 0;
  uint64_t consumed_seen_ = 0;
  size_t since_passed_ = 0;
  Chunk* spare_ = nullptr;
  std::atomic<uint64_t> dropped_{0};
  std::atomic<bool> orphaned_{false};
  // Of the consumer.
  alignas(64) std::atomic<uint64_t> consumed_{0};
  Chunk* read_chunk_ = nullptr;
  size_t read_at_ = 0;
  // From the consumer back to the producer.
  std::atomic<Chunk*> free_{nullptr};
  Chunk* first_chunk_ = nullptr;  // written before the first record is published
};

}  // namespace pillion
