// Envoy's /stats: all names in order, although they live in thousands of scopes and a scope's names
// may lie between another's ("cluster.a." and "cluster.a.b.").  Scopes come sorted; one is opened
// when the next name in order might be its, so only a handful is open at a time.

#include <algorithm>

#include "proxy/base/json_writer.h"
#include "proxy/base/str.h"
#include "proxy/stats/exposition.h"
#include "proxy/stats/quantile.h"

namespace pillion::stats {
namespace {

bool is_wanted_type(ExpositionOptions::Type type, RowType row) {
  switch (type) {
    case ExpositionOptions::Type::kAll:
      return true;
    case ExpositionOptions::Type::kGauges:
      return row == RowType::kGauge;
    case ExpositionOptions::Type::kHistograms:
      return row == RowType::kHistogram;
    case ExpositionOptions::Type::kCounters:
      return row != RowType::kGauge && row != RowType::kHistogram;
    case ExpositionOptions::Type::kTexts:
      return false;
  }
  return true;
}

std::string quantiles_text(const HistogramTotals& histogram) {
  if (histogram.count() == 0) return "No recorded values";
  std::string out;
  for (size_t i = 0; i < kQuantiles.size(); ++i) {
    if (i > 0) out += ' ';
    out += str("P", kQuantileNames[i], "(nan,",
               millis_text(quantile_micros(histogram, kQuantiles[i])), ")");
  }
  return out;
}

std::string quantiles_json(const HistogramTotals& histogram) {
  std::string out;
  JsonWriter json(out, JsonWriter::Style::kCompact);
  json.begin_array();
  for (const double q : kQuantiles) {
    json.begin_object().key("cumulative");
    if (histogram.count() == 0) {
      json.null();
    } else {
      json.raw(millis_text(quantile_micros(histogram, q)));
    }
    json.key("interval").null().end_object();
  }
  json.end_array();
  return out;
}

// A line to come: the name, and the value as the format shows it.
struct Item {
  std::string name;
  std::string value;
};

// A scope whose lines are being merged.
struct OpenScope {
  std::vector<Item> items;
  size_t at = 0;
  [[nodiscard]] const std::string& name() const { return items[at].name; }
};

// Of two heads the later name: makes std::*_heap put the least first.
bool is_later(const OpenScope& a, const OpenScope& b) { return a.name() > b.name(); }

class StatsText final : public TextSource {
 public:
  StatsText(const Registry& registry, ExpositionOptions options, StatsFormat format)
      : registry_(registry), options_(std::move(options)), format_(format) {
    registry_.refresh();
    for (size_t kind = 0; kind < static_cast<size_t>(Kind::kCount); ++kind) {
      auto scopes = registry_.scopes(static_cast<Kind>(kind));
      scopes_.insert(scopes_.end(), scopes.begin(), scopes.end());
    }
    std::sort(scopes_.begin(), scopes_.end(),
              [](const auto& a, const auto& b) { return a->raw() < b->raw(); });
  }

  bool next(std::string& out) override {
    const size_t begin = out.size();
    size_t budget = kScopesPerCall;
    if (pass_ == Pass::kBegin) start(out);
    while (pass_ != Pass::kDone && out.size() - begin < kPieceBytes) {
      if (!open_scopes(budget)) break;
      if (!open_.empty()) {
        write_first(out);
      } else {
        end_pass(out);
      }
    }
    return pass_ != Pass::kDone;
  }

 private:
  enum class Pass : uint8_t { kBegin, kNumbers, kHistograms, kDone };

  static constexpr size_t kScopesPerCall = 128;

  void start(std::string& out) {
    pass_ = Pass::kNumbers;
    if (format_ == StatsFormat::kJson) out += "{\"stats\":[";
    const bool has_texts = options_.type == ExpositionOptions::Type::kAll ||
                           options_.type == ExpositionOptions::Type::kTexts;
    for (const auto& [name, text] : options_.texts) {
      if (!has_texts || !options_.wants(name) || (options_.used_only && text.empty())) continue;
      std::string quoted;
      append_json_string(quoted, text);
      write({name, std::move(quoted)}, out);
    }
  }

  void end_pass(std::string& out) {
    if (pass_ == Pass::kNumbers) {
      pass_ = Pass::kHistograms;
      next_scope_ = 0;
      return;
    }
    pass_ = Pass::kDone;
    if (format_ != StatsFormat::kJson) return;
    out += has_histogram_ ? "]}}]}" : "]}";
  }

  // Opens every scope that may hold the next name; false if the budget ended before that.
  bool open_scopes(size_t& budget) {
    while (next_scope_ < scopes_.size() &&
           (open_.empty() || scopes_[next_scope_]->raw() <= open_.front().name())) {
      if (budget-- == 0) return false;
      OpenScope scope{items_of(*scopes_[next_scope_++])};
      if (scope.items.empty()) continue;
      open_.push_back(std::move(scope));
      std::push_heap(open_.begin(), open_.end(), is_later);
    }
    return true;
  }

  void write_first(std::string& out) {
    std::pop_heap(open_.begin(), open_.end(), is_later);
    OpenScope& scope = open_.back();
    write(scope.items[scope.at], out);
    if (++scope.at == scope.items.size()) {
      open_.pop_back();
    } else {
      std::push_heap(open_.begin(), open_.end(), is_later);
    }
  }

  void write(const Item& item, std::string& out) {
    if (format_ == StatsFormat::kText) {
      out += str(item.name, ": ", item.value, "\n");
      return;
    }
    if (pass_ == Pass::kHistograms && !has_histogram_) {
      if (!is_first_) out += ',';
      out += "{\"histograms\":{\"supported_quantiles\":[";
      for (size_t i = 0; i < kQuantileNames.size(); ++i) {
        out += str(i == 0 ? "" : ",", kQuantileNames[i]);
      }
      out += "],\"computed_quantiles\":[";
      has_histogram_ = true;
      is_first_ = true;
    }
    if (!is_first_) out += ',';
    is_first_ = false;
    out += "{\"name\":";
    append_json_string(out, item.name);
    out += str(pass_ == Pass::kHistograms ? ",\"values\":" : ",\"value\":", item.value, "}");
  }

  // The lines of a scope that belong to this pass, sorted.
  std::vector<Item> items_of(const Scope& scope) {
    std::vector<Item> items;
    for (const Row& row : kind_info(scope.kind()).rows) {
      if ((row.type == RowType::kHistogram) != (pass_ == Pass::kHistograms)) continue;
      if (!is_wanted_type(options_.type, row.type)) continue;
      if (!registry_.read(scope, row, value_)) return {};
      if ((options_.used_only || row.is_hidden_unused) && !value_.used) continue;
      std::string name = str(scope.raw(), row.raw);
      if (row.type == RowType::kHistogram) {
        if (options_.wants(name)) items.push_back({std::move(name), histogram_value()});
      } else if (row.type == RowType::kCodes || row.type == RowType::kNamed) {
        for (const auto& [key, count] : value_.keyed) {
          if (options_.wants(name + key)) items.push_back({name + key, str(count)});
        }
      } else if (options_.wants(name)) {
        items.push_back({std::move(name), number_value(row)});
      }
    }
    std::sort(items.begin(), items.end(),
              [](const Item& a, const Item& b) { return a.name < b.name; });
    return items;
  }

  [[nodiscard]] std::string number_value(const Row& row) const {
    return row.type == RowType::kGauge ? str(value_.number)
                                       : str(static_cast<uint64_t>(value_.number));
  }
  [[nodiscard]] std::string histogram_value() const {
    return format_ == StatsFormat::kText ? quantiles_text(value_.histogram)
                                         : quantiles_json(value_.histogram);
  }

  const Registry& registry_;
  const ExpositionOptions options_;
  const StatsFormat format_;
  std::vector<std::shared_ptr<const Scope>> scopes_;
  size_t next_scope_ = 0;
  std::vector<OpenScope> open_;  // a heap, the scope with the least name first
  Pass pass_ = Pass::kBegin;
  bool is_first_ = true;
  bool has_histogram_ = false;
  RowValue value_;
};

}  // namespace

std::unique_ptr<TextSource> make_stats_text(const Registry& registry, ExpositionOptions options,
                                            StatsFormat format) {
  return std::make_unique<StatsText>(registry, std::move(options), format);
}

}  // namespace pillion::stats
