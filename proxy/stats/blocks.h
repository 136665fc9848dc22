#pragma once
// Blocks: the metrics of one thing (a listener, a cluster, ...) written by one thread, as structs
// made from counters.inc.  Registry makes them and owns them.
//
// On the data path a block is plain members: `stats.downstream_rq_total.inc()`.  What reads them
// (registry, exposition) walks the table of rows instead and knows no member by name.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "proxy/stats/counter.h"
#include "proxy/stats/keyed_counters.h"

namespace pillion::stats {

// Cache line of its own: two writers never share one.
#define BLOCK(Type, before, between, after, family, label, label2) struct alignas(64) Type {
#define COUNTER(row, help) Counter row;
#define COUNTER_AS(row, raw, help) Counter row;
#define GAUGE(row, help) Gauge row;
#define GAUGE_AS(row, raw, help) Gauge row;
#define HISTOGRAM(row, help) Histogram row;
#define COUNTER_IF_USED(row, raw, help) Counter row;
#define HISTOGRAM_IF_USED(row, help) Histogram row;
#define SMALL_HISTOGRAM(row, help) SmallHistogram row;
#define CLASS(row, digit, help) Counter row##_##digit##xx;
#define CODES(row, help) CodeCounters row##_code;
#define NAMED(row, label, help) NamedCounters row;
#define BLOCK_END() \
  }                 \
  ;
#include "proxy/stats/counters.inc"

// What a row is; a class counter is a kCounter.
enum class RowType : uint8_t { kCounter, kGauge, kHistogram, kCodes, kNamed };

struct Row {
  RowType type;
  uint16_t offset;               // in the block
  std::string_view raw;          // in /stats: "downstream_rq_2xx"; the stem for kCodes and kNamed
  std::string_view family;       // in Prometheus: "downstream_rq_xx"
  std::string_view label;        // further label, empty for none
  std::string_view label_value;  // of kCounter with a label
  std::string_view help;
  bool is_hidden_unused = false;  // not shown before its first use
  bool is_small = false;          // a SmallHistogram
};

enum class Kind : uint8_t {
#define BLOCK(Type, before, between, after, family, label, label2) k##Type,
#include "proxy/stats/counters.inc"
  kCount
};

struct KindInfo {
  std::string_view before, between, after;  // parts of the raw name around <name> and <name2>
  std::string_view family;                  // "envoy_http_"
  std::string_view label, label2;           // empty: the kind has no such name
  std::span<const Row> rows;
  size_t bytes;  // of a block
  void* (*make)();
  void (*destroy)(void* block);
};

const KindInfo& kind_info(Kind kind) noexcept;

// The Kind of a block type.
template <typename T>
struct KindOf;
#define BLOCK(Type, before, between, after, family, label, label2) \
  template <>                                                      \
  struct KindOf<Type> {                                            \
    static constexpr Kind kKind = Kind::k##Type;                   \
  };
#include "proxy/stats/counters.inc"

// Counts a response by class (1xx to 5xx) in any block that has the five rows; other codes are no
// class.  Envoy counts `completed` beside it; the caller does.
template <typename Block>
void count_downstream_class(Block& block, unsigned status) noexcept {
  switch (status / 100) {
    case 1:
      return block.downstream_rq_1xx.inc();
    case 2:
      return block.downstream_rq_2xx.inc();
    case 3:
      return block.downstream_rq_3xx.inc();
    case 4:
      return block.downstream_rq_4xx.inc();
    case 5:
      return block.downstream_rq_5xx.inc();
    default:
      return;
  }
}
// upstream_rq_completed, upstream_rq_Nxx and upstream_rq_<status>.
void count_upstream_response(ClusterStats& stats, unsigned status);
void count_upstream_response(ClusterRetryStats& stats, unsigned status);

}  // namespace pillion::stats
