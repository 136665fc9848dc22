#include "proxy/base/log_queue.h"

#include <cstdlib>
#include <cstring>

namespace pillion {
namespace {

template <typename Chunk>
void free_all(Chunk* chunk) noexcept {
  while (chunk != nullptr) {
    Chunk* next = chunk->next;
    std::free(chunk);
    chunk = next;
  }
}

}  // namespace

LogQueue::~LogQueue() {
  free_all(read_chunk_ != nullptr ? read_chunk_ : first_chunk_);
  free_all(spare_);
  free_all(free_.load(std::memory_order_acquire));
}

bool LogQueue::push(uint32_t tag, std::string_view text) noexcept {
  const size_t bytes = record_bytes(text.size());
  if (written_ - consumed_seen_ + bytes > limit_) {
    consumed_seen_ = consumed_.load(std::memory_order_acquire);
    if (written_ - consumed_seen_ + bytes > limit_) {
      dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      return false;
    }
  }
  if (write_chunk_ == nullptr || write_chunk_->capacity - write_at_ < bytes) open_chunk(bytes);
  const Record record{tag, static_cast<uint32_t>(text.size())};
  char* to = write_chunk_->data() + write_at_;
  std::memcpy(to, &record, sizeof record);
  std::memcpy(to + sizeof record, text.data(), text.size());
  write_at_ += bytes;
  written_ += bytes;
  since_passed_ += bytes;
  published_.store(written_, std::memory_order_seq_cst);
  return true;
}

// A chunk with room for `bytes`: recycled if possible.
LogQueue::Chunk* LogQueue::take_chunk(size_t bytes) noexcept {
  constexpr size_t kUsual = kChunkBytes - sizeof(Chunk);
  if (bytes <= kUsual) {
    if (spare_ == nullptr) spare_ = free_.exchange(nullptr, std::memory_order_acquire);
    if (spare_ != nullptr) {
      Chunk* chunk = spare_;
      spare_ = chunk->next;
      return chunk;
    }
    bytes = kUsual;
  }
  auto* chunk = static_cast<Chunk*>(std::malloc(sizeof(Chunk) + bytes));
  if (chunk == nullptr) std::abort();  // out of memory ends the process (style.md 4.6)
  chunk->capacity = bytes;
  return chunk;
}

void LogQueue::open_chunk(size_t bytes) noexcept {
  Chunk* chunk = take_chunk(bytes);
  chunk->next = nullptr;
  if (write_chunk_ == nullptr) {
    first_chunk_ = chunk;
  } else {
    if (write_chunk_->capacity - write_at_ >= sizeof(Record)) {
      const Record end{0, kEndOfChunk};
      std::memcpy(write_chunk_->data() + write_at_, &end, sizeof end);
    }
    write_chunk_->next = chunk;
  }
  write_chunk_ = chunk;
  write_at_ = 0;
}

const LogQueue::Record* LogQueue::next_record() noexcept {
  if (read_chunk_ == nullptr) read_chunk_ = first_chunk_;
  const auto at = [this] {
    return reinterpret_cast<const Record*>(read_chunk_->data() + read_at_);
  };
  if (read_chunk_->capacity - read_at_ < sizeof(Record) || at()->length == kEndOfChunk) {
    Chunk* done = read_chunk_;
    read_chunk_ = done->next;
    read_at_ = 0;
    give_back(done);
  }
  return at();
}

void LogQueue::give_back(Chunk* chunk) noexcept {
  if (chunk->capacity != kChunkBytes - sizeof(Chunk)) return std::free(chunk);
  chunk->next = free_.load(std::memory_order_relaxed);
  while (!free_.compare_exchange_weak(chunk->next, chunk, std::memory_order_release,
                                      std::memory_order_relaxed)) {
  }
}

void LogQueue::trim() noexcept { free_all(free_.exchange(nullptr, std::memory_order_acquire)); }

}  // namespace pillion
