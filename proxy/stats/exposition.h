#pragma once
// Everything in a Registry as text: Envoy's /stats (text and JSON) and Prometheus.
//
// A mesh has half a million lines of it, so each is a TextSource: it is asked for the next piece
// when the last one has been sent, holds little more than that piece and a list of scopes, and
// bounds the work of one call (the control thread has other things to do).  The Registry outlives
// it.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/stats/registry.h"

namespace pillion::stats {

// Text that is made while it is sent.
class TextSource {
 public:
  static constexpr size_t kPieceBytes = 64 * 1024;
  virtual ~TextSource() = default;
  // Appends the next piece, of about kPieceBytes, to `out`; false: that was the last.  A piece may
  // be empty (much looked at, nothing to show): ask again in the next turn.
  virtual bool next(std::string& out) = 0;
};

// Which metrics are shown, by their name in /stats.  Implemented by whoever may use match/.
class NameFilter {
 public:
  virtual ~NameFilter() = default;
  [[nodiscard]] virtual bool matches(std::string_view name) const = 0;
};

struct Tag {
  std::string name;
  std::string value;
};

struct ExpositionOptions {
  enum class Type : uint8_t { kAll, kCounters, kGauges, kHistograms, kTexts };
  Type type = Type::kAll;
  bool used_only = false;                     // leaves out what was never written
  std::shared_ptr<const NameFilter> filter;   // of this request; null: all
  std::shared_ptr<const NameFilter> matcher;  // stats_config.stats_matcher; null: all
  std::vector<Tag> fixed_tags;                // labels on every series (stats_tags, --stats-tag)
  // Envoy's text readouts, by name; of /stats only.  They come first.
  std::map<std::string, std::string> texts{};

  [[nodiscard]] bool has_filter() const { return filter != nullptr || matcher != nullptr; }
  [[nodiscard]] bool wants(std::string_view name) const {
    return (matcher == nullptr || matcher->matches(name)) &&
           (filter == nullptr || filter->matches(name));
  }
};

enum class StatsFormat : uint8_t { kText, kJson };

// Counters and gauges sorted by name, then histograms.  Calls registry.refresh() first.
// Histograms: P0(interval,cumulative) ...; there is no flush and so no interval: it is always nan.
std::unique_ptr<TextSource> make_stats_text(const Registry& registry, ExpositionOptions options,
                                            StatsFormat format);
// Text format 0.0.4, one family after the other.  Calls registry.refresh() first.
std::unique_ptr<TextSource> make_prometheus(const Registry& registry, ExpositionOptions options);
inline constexpr std::string_view kPrometheusContentType =
    "text/plain; version=0.0.4; charset=utf-8";

}  // namespace pillion::stats
