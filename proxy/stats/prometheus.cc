// The Prometheus exposition by prometheus-cpp's serializer: one family at a time, and a large
// family in batches, so that 5,000 clusters cost no more memory than one.

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <ostream>
#include <streambuf>

#include "proxy/base/str.h"
#include "proxy/stats/exposition.h"

namespace pillion::stats {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// Appends to a string, without the first `skip` lines.
class AppendBuf final : public std::streambuf {
 public:
  AppendBuf(std::string& out, int skip) : out_(out), skip_(skip) {}

 protected:
  int_type overflow(int_type c) override {
    if (c == traits_type::eof()) return traits_type::not_eof(c);
    put(traits_type::to_char_type(c));
    return c;
  }
  std::streamsize xsputn(const char* text, std::streamsize n) override {
    if (skip_ == 0) {
      out_.append(text, static_cast<size_t>(n));
    } else {
      for (std::streamsize i = 0; i < n; ++i) put(text[i]);
    }
    return n;
  }

 private:
  void put(char c) {
    if (skip_ == 0) {
      out_ += c;
    } else if (c == '\n') {
      --skip_;
    }
  }
  std::string& out_;
  int skip_;
};

MetricType type_of(RowType type) {
  switch (type) {
    case RowType::kGauge:
      return MetricType::Gauge;
    case RowType::kHistogram:
      return MetricType::Histogram;
    default:
      return MetricType::Counter;
  }
}

// A label name: what is not [a-zA-Z0-9_] becomes "_".
std::string label_name(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    const bool is_legal =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9');
    if (!is_legal) c = '_';
  }
  const bool begins_with_digit = !out.empty() && out[0] >= '0' && out[0] <= '9';
  return begins_with_digit ? str("_", out) : out;
}

class Prometheus final : public TextSource {
 public:
  // Scopes per call of the serializer; of a histogram each is 22 lines.
  static constexpr size_t kBatch = 128;
  static constexpr size_t kStepsPerCall = 64;

  Prometheus(const Registry& registry, ExpositionOptions options)
      : registry_(registry), options_(std::move(options)) {
    registry_.refresh();
    for (Tag& tag : options_.fixed_tags) tag = {label_name(tag.name), sanitize_name(tag.value)};
    enter_kind();
  }

  bool next(std::string& out) override {
    const size_t begin = out.size();
    for (size_t i = 0; i < kStepsPerCall && out.size() - begin < kPieceBytes; ++i) {
      if (kind_ == static_cast<size_t>(Kind::kCount)) break;
      step(out);
    }
    return kind_ < static_cast<size_t>(Kind::kCount);
  }

 private:
  [[nodiscard]] const KindInfo& info() const { return kind_info(static_cast<Kind>(kind_)); }

  void enter_kind() {
    row_ = 0;
    if (kind_ < static_cast<size_t>(Kind::kCount)) {
      scopes_ = registry_.scopes(static_cast<Kind>(kind_));
    }
    enter_family();
  }
  void enter_family() {
    scope_ = 0;
    has_header_ = false;
  }

  // Writes one batch, then goes on to the next family or kind if this one is finished.
  void step(std::string& out) {
    if (scopes_.empty() || row_ == info().rows.size()) {
      ++kind_;
      return enter_kind();
    }
    const Row& first = info().rows[row_];
    size_t end = row_;
    while (end < info().rows.size() && info().rows[end].family == first.family) ++end;

    MetricFamily family{
        str(info().family, first.family), std::string(first.help), type_of(first.type), {}};
    for (size_t n = 0; n < kBatch && scope_ < scopes_.size(); ++n, ++scope_) {
      for (size_t row = row_; row < end; ++row) add(*scopes_[scope_], info().rows[row], family);
    }
    write(family, out);
    if (scope_ < scopes_.size()) return;
    row_ = end;
    enter_family();
  }

  void write(const MetricFamily& family, std::string& out) {
    if (family.metric.empty()) return;
    AppendBuf buffer(out, has_header_ ? 2 : 0);  // # HELP and # TYPE once per family
    std::ostream stream(&buffer);
    prometheus::TextSerializer().Serialize(stream, {family});
    has_header_ = true;
  }

  void add(const Scope& scope, const Row& row, MetricFamily& family) {
    if (!registry_.read(scope, row, value_)) return;
    if ((options_.used_only || row.is_hidden_unused) && !value_.used) return;
    const std::string name = options_.has_filter() ? str(scope.raw(), row.raw) : std::string();
    if (row.type == RowType::kCodes || row.type == RowType::kNamed) {
      for (const auto& [key, count] : value_.keyed) {
        if (!options_.wants(name + key)) continue;
        family.metric.push_back(labelled(scope, row.label, key));
        family.metric.back().counter.value = static_cast<double>(count);
      }
      return;
    }
    if (!options_.wants(name)) return;
    ClientMetric metric = labelled(scope, row.label, row.label_value);
    if (row.type == RowType::kGauge) {
      metric.gauge.value = static_cast<double>(value_.number);
    } else if (row.type == RowType::kHistogram) {
      fill(metric.histogram);
    } else {
      metric.counter.value = static_cast<double>(static_cast<uint64_t>(value_.number));
    }
    family.metric.push_back(std::move(metric));
  }

  ClientMetric labelled(const Scope& scope, std::string_view label, std::string_view value) const {
    ClientMetric metric;
    const auto add = [&metric](std::string_view name, std::string_view text) {
      if (!name.empty()) metric.label.push_back({std::string(name), std::string(text)});
    };
    metric.label.reserve(4 + options_.fixed_tags.size());
    add(label, value);
    const size_t dot = info().label2.rfind('.');
    if (dot == info().label2.npos) {
      // ".x" of a name that may be missing, with its dot.
      const std::string_view name2 = scope.name2();
      add(info().label2, name2.substr(name2.starts_with('.') ? 1 : 0));
    } else if (const std::string_view name2 = scope.name2(); !name2.empty()) {
      const size_t last = name2.rfind('.');
      add(info().label2.substr(0, dot), name2.substr(1, last - 1));
      add(info().label2.substr(dot + 1), name2.substr(last + 1));
    }
    add(info().label, scope.name());
    for (const Tag& tag : options_.fixed_tags) add(tag.name, tag.value);
    return metric;
  }

  void fill(ClientMetric::Histogram& out) const {
    const HistogramTotals& in = value_.histogram;
    uint64_t cumulative = 0;
    out.bucket.reserve(Histogram::kBuckets);
    for (size_t i = 0; i < Histogram::kBoundsMicros.size(); ++i) {
      cumulative += in.buckets[i];
      out.bucket.push_back({cumulative, static_cast<double>(Histogram::kBoundsMicros[i]) / 1000});
    }
    out.sample_count = in.count();
    out.sample_sum = static_cast<double>(in.sum_micros) / 1000;
  }

  const Registry& registry_;
  ExpositionOptions options_;
  size_t kind_ = 0;
  size_t row_ = 0;    // first row of the family in work
  size_t scope_ = 0;  // next scope of it
  bool has_header_ = false;
  std::vector<std::shared_ptr<const Scope>> scopes_;
  RowValue value_;
};

}  // namespace

std::unique_ptr<TextSource> make_prometheus(const Registry& registry, ExpositionOptions options) {
  return std::make_unique<Prometheus>(registry, std::move(options));
}

}  // namespace pillion::stats
