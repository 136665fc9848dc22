#pragma once
// Registry: owns every block of metrics, and sums them for whoever asks.
//
// A *scope* is one thing with metrics ("cluster.orders."); it has one block per writer.  A thread
// takes a block for itself once, off the hot path, and keeps the BlockRef as long as it counts:
//
//   BlockRef<ClusterStats> stats = registry.block<ClusterStats>(worker_index, "orders");
//   stats->upstream_rq_total.inc();
//
// Refs to the same block are counted.  When the last ref of one writer goes, its counters are
// folded into the scope, so that totals never run backwards while others hold the scope; when the
// last ref of all goes, the scope and its totals go (as in Envoy: a removed cluster leaves no
// metrics).  On a reload take the new refs before you drop the old ones.
//
// Thread-safe.  The mutex is held for one lookup or one row, never while text is made.  The
// Registry outlives all BlockRefs.

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/stats/blocks.h"

namespace pillion::stats {

// The thread that writes a block: the index of a worker, or one of the threads below.
using Writer = uint16_t;
inline constexpr Writer kControl = 0xffff;
inline constexpr Writer kBuilder = 0xfffe;
inline constexpr Writer kLogWriter = 0xfffd;

class Registry;

class Scope {
 public:
  // `registry` owns it.  Names are sanitised already.
  Scope(Registry& registry, Kind kind, std::string_view name, std::string_view name2);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  // "cluster.orders.": stands before each row in /stats.
  [[nodiscard]] std::string_view raw() const noexcept { return raw_; }
  [[nodiscard]] std::string_view name() const noexcept;
  [[nodiscard]] std::string_view name2() const noexcept;

 private:
  friend class Registry;
  friend class BlockHold;
  struct Slot {
    Writer writer;
    uint32_t refs;
    void* block;
  };
  Registry& registry_;
  const std::string raw_;  // holds both names
  const uint32_t name_size_;
  const uint32_t name2_size_;
  const Kind kind_;
  // Under the registry's mutex.
  std::vector<Slot> slots_;
  void* folded_ = nullptr;  // a block with what former writers counted, less what was reset
};

// A thread's hold on its block.  Moved, not copied; dropped on any thread once the writer has
// stopped.
class BlockHold {
 public:
  BlockHold() = default;
  BlockHold(std::shared_ptr<Scope> scope, Writer writer, void* block) noexcept
      : scope_(std::move(scope)), block_(block), writer_(writer) {}
  BlockHold(BlockHold&& other) noexcept
      : scope_(std::move(other.scope_)),
        block_(std::exchange(other.block_, nullptr)),
        writer_(other.writer_) {}
  BlockHold& operator=(BlockHold&& other) noexcept {
    std::swap(scope_, other.scope_);
    std::swap(block_, other.block_);
    std::swap(writer_, other.writer_);
    return *this;
  }
  ~BlockHold();

  [[nodiscard]] void* block() const noexcept { return block_; }

 private:
  std::shared_ptr<Scope> scope_;
  void* block_ = nullptr;
  Writer writer_ = 0;
};

template <typename T>
class BlockRef {
 public:
  BlockRef() = default;
  explicit BlockRef(BlockHold hold) noexcept : hold_(std::move(hold)) {}
  [[nodiscard]] T* get() const noexcept { return static_cast<T*>(hold_.block()); }
  T* operator->() const noexcept { return get(); }
  T& operator*() const noexcept { return *get(); }
  explicit operator bool() const noexcept { return get() != nullptr; }

 private:
  BlockHold hold_;
};

struct HistogramTotals {
  std::array<uint64_t, Histogram::kBuckets> buckets{};
  uint64_t sum_micros = 0;
  [[nodiscard]] uint64_t count() const noexcept;
};

// A row of a scope, summed over its writers.
struct RowValue {
  bool used = false;   // was it ever written
  int64_t number = 0;  // of a counter or gauge
  HistogramTotals histogram;
  // Of kCodes and kNamed, sorted; the key is as /stats and Prometheus show it.
  std::vector<std::pair<std::string, uint64_t>> keyed;
};

class Registry {
 public:
  Registry() = default;
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // The block of `writer` in a scope; made on first use.  Names are sanitised as Envoy does
  // (sanitize_name), an unnamed kind (ServerStats) takes none.
  template <typename T>
  BlockRef<T> block(Writer writer, std::string_view name = {}, std::string_view name2 = {}) {
    return BlockRef<T>(hold(KindOf<T>::kKind, writer, name, name2));
  }

  // All scopes of a kind, sorted by raw name.  They may die while you read them: see read().
  [[nodiscard]] std::vector<std::shared_ptr<const Scope>> scopes(Kind kind) const;
  // Sums a row; false if the scope has died.
  bool read(const Scope& scope, const Row& row, RowValue& out) const;
  // A counter of one scope, by its name in /stats, summed over its writers; 0: there is none.
  template <typename T>
  [[nodiscard]] uint64_t total(std::string_view name, std::string_view counter) const {
    return total(KindOf<T>::kKind, name, counter);
  }

  // Counters (not gauges, not histograms) start again at 0: scope by scope, so that nobody who
  // takes a block waits for all of them.
  void reset_counters();

  // `refresh` runs on the thread that scrapes (control), before each scrape: it sets gauges that
  // nobody keeps up to date, in blocks of kControl.
  void on_scrape(std::function<void()> refresh) { refreshers_.push_back(std::move(refresh)); }
  void refresh() const {
    for (const auto& f : refreshers_) f();
  }

 private:
  friend class BlockHold;
  [[nodiscard]] uint64_t total(Kind kind, std::string_view name, std::string_view counter) const;
  BlockHold hold(Kind kind, Writer writer, std::string_view name, std::string_view name2);
  void release(Scope& scope, Writer writer) noexcept;
  static void fold(Scope& scope, const void* block);
  static void reset_counters(Scope& scope);
  template <typename S>
  [[nodiscard]] std::vector<std::shared_ptr<S>> list(Kind kind) const;

  using Scopes = std::map<std::string_view, std::shared_ptr<Scope>>;  // keys live in the scopes
  mutable std::mutex mutex_;
  std::array<Scopes, static_cast<size_t>(Kind::kCount)> scopes_;
  std::vector<std::function<void()>> refreshers_;  // last: they may hold blocks
};

// As Envoy names scopes: "://", ":/" and ":" become "_"; so do control characters, and bytes that
// are no UTF-8 (Prometheus would refuse the whole scrape).  kKept: of colons nothing becomes "_".
enum class Colons : uint8_t { kReplaced, kKept };
std::string sanitize_name(std::string_view name, Colons colons = Colons::kReplaced);

}  // namespace pillion::stats
