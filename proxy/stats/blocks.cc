#include "proxy/stats/blocks.h"

#include <new>

namespace pillion::stats {
namespace {

template <typename T>
struct Rows;

template <typename T>
constexpr KindInfo describe(std::string_view before, std::string_view between,
                            std::string_view after, std::string_view family, std::string_view label,
                            std::string_view label2) {
  return {before,
          between,
          after,
          family,
          label,
          label2,
          Rows<T>::kRows,
          sizeof(T),
          []() -> void* { return new T; },
          [](void* block) { delete static_cast<T*>(block); }};
}

#define ROW(type, member, raw, family, label, value, help) \
  {RowType::type, offsetof(B, member), raw, family, label, value, help},
#define HIDDEN_ROW(type, member, raw, help) \
  {RowType::type, offsetof(B, member), raw, raw, "", "", help, true},
#define BLOCK(Type, before, between, after, family, label, label2) \
  template <>                                                      \
  struct Rows<Type> {                                              \
    using B = Type;                                                \
    static constexpr Row kRows[] = {
#define COUNTER(row, help) ROW(kCounter, row, #row, #row, "", "", help)
#define COUNTER_AS(row, raw, help) ROW(kCounter, row, raw, #row, "", "", help)
#define GAUGE(row, help) ROW(kGauge, row, #row, #row, "", "", help)
#define GAUGE_AS(row, raw, help) ROW(kGauge, row, raw, #row, "", "", help)
#define HISTOGRAM(row, help) ROW(kHistogram, row, #row, #row, "", "", help)
#define COUNTER_IF_USED(row, raw, help) HIDDEN_ROW(kCounter, row, raw, help)
#define SMALL_HISTOGRAM(row, help) \
  {RowType::kHistogram, offsetof(B, row), #row, #row, "", "", help, false, true},
#define HISTOGRAM_IF_USED(row, help) HIDDEN_ROW(kHistogram, row, #row, help)
#define CLASS(row, digit, help)                                                                   \
  ROW(kCounter, row##_##digit##xx, #row "_" #digit "xx", #row "_xx", "envoy_response_code_class", \
      #digit, help)
#define CODES(row, help) ROW(kCodes, row##_code, #row "_", #row, "envoy_response_code", "", help)
#define NAMED(row, label, help) ROW(kNamed, row, #row ".", #row, label, "", help)
#define BLOCK_END() \
  }                 \
  ;                 \
  }                 \
  ;
#include "proxy/stats/counters.inc"

constexpr KindInfo kKinds[] = {
#define BLOCK(Type, before, between, after, family, label, label2) \
  describe<Type>(before, between, after, family, label, label2),
#include "proxy/stats/counters.inc"
};
static_assert(std::size(kKinds) == static_cast<size_t>(Kind::kCount));

template <typename Stats>
void count_response(Stats& stats, unsigned status) {
  stats.upstream_rq_completed.inc();
  switch (status / 100) {
    case 1:
      stats.upstream_rq_1xx.inc();
      break;
    case 2:
      stats.upstream_rq_2xx.inc();
      break;
    case 3:
      stats.upstream_rq_3xx.inc();
      break;
    case 4:
      stats.upstream_rq_4xx.inc();
      break;
    case 5:
      stats.upstream_rq_5xx.inc();
      break;
    default:
      break;
  }
  stats.upstream_rq_code.inc(status <= 999 ? static_cast<uint16_t>(status) : uint16_t{0});
}

}  // namespace

const KindInfo& kind_info(Kind kind) noexcept { return kKinds[static_cast<size_t>(kind)]; }

void count_upstream_response(ClusterStats& stats, unsigned status) {
  count_response(stats, status);
}
void count_upstream_response(ClusterRetryStats& stats, unsigned status) {
  count_response(stats, status);
}

}  // namespace pillion::stats
