#pragma once
// Counters whose names are known only at run time: one per response code, TLS cipher, curve.
//
// Owned by a block (blocks.h); one writer, any readers.  Nothing is allocated before the first use.
// Bounded: a peer that invents keys fills kMaxKeys of them, the rest is counted as "unknown".
// Key is uint16_t, or const char* to text that lives for ever, one address a name (what BoringSSL
// returns as names of ciphers and groups).

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "proxy/stats/counter.h"

namespace pillion::stats {

template <typename Key>
class KeyedCounters {
 public:
  static constexpr size_t kPerChunk = 7;
  static constexpr size_t kMaxChunks = 8;
  static constexpr size_t kMaxKeys = kPerChunk * kMaxChunks;

  KeyedCounters() = default;
  ~KeyedCounters() { free_chunks(first_.load(std::memory_order_relaxed)); }
  KeyedCounters(const KeyedCounters&) = delete;
  KeyedCounters& operator=(const KeyedCounters&) = delete;

  // Key{} (0, null) counts as unknown.
  void inc(Key key) { add(key, 1); }
  void add(Key key, uint64_t n) { counter(key).add(n); }

  // visit(key, count) for each key seen, in order of first use, then visit(Key{}, n) if any were
  // unknown.  Any thread, while the block lives.
  template <typename Visitor>
  void for_each(Visitor&& visit) const {
    for (const Chunk* c = first_.load(std::memory_order_acquire); c != nullptr;
         c = c->next.load(std::memory_order_acquire)) {
      for (size_t i = 0; i < kPerChunk; ++i) {
        const Key key = c->keys[i].load(std::memory_order_relaxed);
        if (key == Key{}) break;
        visit(key, c->counts[i].value());
      }
    }
    if (unknown_.value() != 0) visit(Key{}, unknown_.value());
  }

 private:
  struct Chunk {
    std::atomic<Key> keys[kPerChunk] = {};
    std::atomic<Chunk*> next{nullptr};
    Counter counts[kPerChunk];
  };

  Counter& counter(Key key) {
    if (key == Key{}) return unknown_;
    std::atomic<Chunk*>* link = &first_;
    for (size_t n = 0; n < kMaxChunks; ++n) {
      Chunk* chunk = link->load(std::memory_order_relaxed);
      if (chunk == nullptr) {
        chunk = new Chunk;
        link->store(chunk, std::memory_order_release);
      }
      for (size_t i = 0; i < kPerChunk; ++i) {
        const Key at = chunk->keys[i].load(std::memory_order_relaxed);
        if (at == key) return chunk->counts[i];
        if (at == Key{}) {
          chunk->keys[i].store(key, std::memory_order_relaxed);
          return chunk->counts[i];
        }
      }
      link = &chunk->next;
    }
    return unknown_;
  }
  static void free_chunks(Chunk* chunk) noexcept {
    while (chunk != nullptr) {
      Chunk* next = chunk->next.load(std::memory_order_relaxed);
      delete chunk;
      chunk = next;
    }
  }
  std::atomic<Chunk*> first_{nullptr};
  Counter unknown_;
};

using CodeCounters = KeyedCounters<uint16_t>;
using NamedCounters = KeyedCounters<const char*>;

}  // namespace pillion::stats
