#include "proxy/stats/registry.h"

#include <algorithm>

#include "proxy/base/assert.h"
#include "proxy/base/str.h"
#include "proxy/base/utf8.h"

namespace pillion::stats {
namespace {

template <typename T>
const T& at(const void* block, const Row& row) {
  return *reinterpret_cast<const T*>(static_cast<const char*>(block) + row.offset);
}
template <typename T>
T& at(void* block, const Row& row) {
  return *reinterpret_cast<T*>(static_cast<char*>(block) + row.offset);
}

// As large as it is: ten thousand clusters have one each.
std::string raw_name(const KindInfo& info, std::string_view name, std::string_view name2) {
  std::string out;
  out.reserve(info.before.size() + name.size() + info.between.size() + name2.size() +
              info.after.size());
  for (const std::string_view part : {info.before, name, info.between, name2, info.after})
    out += part;
  return out;
}

// Adds one block to the sum of a row.
struct Summer {
  const Row& row;
  RowValue& out;
  uint64_t counter = 0;  // unsigned: a reset counts on wrapping

  void add_key(std::string_view key, uint64_t n) {
    for (auto& [have, count] : out.keyed) {
      if (have == key) {
        count += n;
        return;
      }
    }
    out.keyed.emplace_back(key, n);
  }
  void add_histogram(const auto& histogram) {
    for (size_t i = 0; i < Histogram::kBuckets; ++i)
      out.histogram.buckets[i] += histogram.bucket(i);
    out.histogram.sum_micros += histogram.sum_micros();
  }
  void add(const void* block) {
    switch (row.type) {
      case RowType::kCounter:
        counter += at<Counter>(block, row).value();
        break;
      case RowType::kGauge: {
        const Gauge& gauge = at<Gauge>(block, row);
        out.number += gauge.value();
        out.used |= gauge.used();
        break;
      }
      case RowType::kHistogram: {
        row.is_small ? add_histogram(at<SmallHistogram>(block, row))
                     : add_histogram(at<Histogram>(block, row));
        break;
      }
      case RowType::kCodes:
        at<CodeCounters>(block, row).for_each([&](uint16_t code, uint64_t n) {
          add_key(code == 0 ? "unknown" : str(code), n);
        });
        break;
      case RowType::kNamed:
        at<NamedCounters>(block, row).for_each([&](const char* name, uint64_t n) {
          add_key(name == nullptr ? "unknown" : name, n);
        });
        break;
    }
  }
  void finish() {
    if (row.type == RowType::kCounter) {
      out.number = static_cast<int64_t>(counter);
      out.used = counter != 0;
    } else if (row.type == RowType::kHistogram) {
      out.used = out.histogram.count() != 0;
    } else if (row.type != RowType::kGauge) {
      // Below 0: a reset that met more keys than a block holds took them from "unknown".
      std::erase_if(out.keyed,
                    [](const auto& entry) { return static_cast<int64_t>(entry.second) <= 0; });
      std::sort(out.keyed.begin(), out.keyed.end());
      out.used = !out.keyed.empty();
    }
  }
};

void fold_histogram(void* into, const void* from, const Row& row) {
  if (row.is_small) return at<SmallHistogram>(into, row).add(at<SmallHistogram>(from, row));
  at<Histogram>(into, row).add(at<Histogram>(from, row));
}

// Is there anything that a reset would take away?
bool has_count(const void* block, const Row& row) {
  bool found = false;
  const auto look = [&found](auto, uint64_t n) { found |= n != 0; };
  if (row.type == RowType::kCounter) return at<Counter>(block, row).value() != 0;
  if (row.type == RowType::kCodes) at<CodeCounters>(block, row).for_each(look);
  if (row.type == RowType::kNamed) at<NamedCounters>(block, row).for_each(look);
  return found;
}

// Adds (or, for a reset, takes away) the counters of a row.
void fold_counters(void* into, const void* from, const Row& row, bool negative) {
  const auto signed_count = [&](uint64_t n) { return negative ? uint64_t{0} - n : n; };
  if (row.type == RowType::kCounter) {
    at<Counter>(into, row).add(signed_count(at<Counter>(from, row).value()));
  } else if (row.type == RowType::kCodes) {
    at<CodeCounters>(from, row).for_each(
        [&](uint16_t code, uint64_t n) { at<CodeCounters>(into, row).add(code, signed_count(n)); });
  } else if (row.type == RowType::kNamed) {
    at<NamedCounters>(from, row).for_each([&](const char* name, uint64_t n) {
      at<NamedCounters>(into, row).add(name, signed_count(n));
    });
  }
}

}  // namespace

uint64_t HistogramTotals::count() const noexcept {
  uint64_t n = 0;
  for (const uint64_t bucket : buckets) n += bucket;
  return n;
}

Scope::Scope(Registry& registry, Kind kind, std::string_view name, std::string_view name2)
    : registry_(registry),
      raw_(raw_name(kind_info(kind), name, name2)),
      name_size_(static_cast<uint32_t>(name.size())),
      name2_size_(static_cast<uint32_t>(name2.size())),
      kind_(kind) {}

std::string_view Scope::name() const noexcept {
  return raw().substr(kind_info(kind_).before.size(), name_size_);
}

std::string_view Scope::name2() const noexcept {
  const KindInfo& info = kind_info(kind_);
  return raw().substr(info.before.size() + name_size_ + info.between.size(), name2_size_);
}

Scope::~Scope() {
  const KindInfo& info = kind_info(kind_);
  for (const Slot& slot : slots_) info.destroy(slot.block);
  if (folded_ != nullptr) info.destroy(folded_);
}

BlockHold::~BlockHold() {
  if (block_ != nullptr) scope_->registry_.release(*scope_, writer_);
}

BlockHold Registry::hold(Kind kind, Writer writer, std::string_view name, std::string_view name2) {
  const KindInfo& info = kind_info(kind);
  const std::string clean = sanitize_name(name);
  // A SPIFFE id is worth something only as it is.
  const bool is_id = kind == Kind::kPrincipalStats;
  const std::string clean2 = sanitize_name(name2, is_id ? Colons::kKept : Colons::kReplaced);
  const std::string raw = raw_name(info, clean, clean2);

  const std::lock_guard lock(mutex_);
  Scopes& scopes = scopes_[static_cast<size_t>(kind)];
  auto found = scopes.find(raw);
  if (found == scopes.end()) {
    auto scope = std::make_shared<Scope>(*this, kind, clean, clean2);
    const std::string_view key = scope->raw();
    found = scopes.emplace(key, std::move(scope)).first;
  }
  const std::shared_ptr<Scope>& scope = found->second;
  for (Scope::Slot& slot : scope->slots_) {
    if (slot.writer != writer) continue;
    ++slot.refs;
    return {scope, writer, slot.block};
  }
  scope->slots_.push_back({writer, 1, info.make()});
  return {scope, writer, scope->slots_.back().block};
}

void Registry::release(Scope& scope, Writer writer) noexcept {
  const std::lock_guard lock(mutex_);
  const auto slot = std::find_if(scope.slots_.begin(), scope.slots_.end(),
                                 [writer](const Scope::Slot& s) { return s.writer == writer; });
  ASSERT(slot != scope.slots_.end());
  if (--slot->refs > 0) return;
  void* block = slot->block;
  scope.slots_.erase(slot);
  if (scope.slots_.empty()) {
    scopes_[static_cast<size_t>(scope.kind())].erase(scope.raw());  // the caller still holds it
  } else {
    fold(scope, block);
  }
  kind_info(scope.kind()).destroy(block);
}

void Registry::fold(Scope& scope, const void* block) {
  const KindInfo& info = kind_info(scope.kind());
  if (scope.folded_ == nullptr) scope.folded_ = info.make();
  for (const Row& row : info.rows) {
    fold_counters(scope.folded_, block, row, false);
    if (row.type == RowType::kHistogram) {
      fold_histogram(scope.folded_, block, row);
    } else if (row.type == RowType::kGauge && at<Gauge>(block, row).used()) {
      at<Gauge>(scope.folded_, row).add(0);  // it was used; its value went with its writer
    }
  }
}

template <typename S>
std::vector<std::shared_ptr<S>> Registry::list(Kind kind) const {
  const std::lock_guard lock(mutex_);
  const Scopes& all = scopes_[static_cast<size_t>(kind)];
  std::vector<std::shared_ptr<S>> out;
  out.reserve(all.size());
  for (const auto& [raw, scope] : all) out.push_back(scope);
  return out;
}

std::vector<std::shared_ptr<const Scope>> Registry::scopes(Kind kind) const {
  return list<const Scope>(kind);
}

bool Registry::read(const Scope& scope, const Row& row, RowValue& out) const {
  out.used = false;
  out.number = 0;
  out.histogram = {};
  out.keyed.clear();
  Summer sum{row, out};
  {
    const std::lock_guard lock(mutex_);
    if (scope.slots_.empty()) return false;
    for (const Scope::Slot& slot : scope.slots_) sum.add(slot.block);
    if (scope.folded_ != nullptr) sum.add(scope.folded_);
  }
  sum.finish();
  return true;
}

uint64_t Registry::total(Kind kind, std::string_view name, std::string_view counter) const {
  const KindInfo& info = kind_info(kind);
  const auto row = std::ranges::find(info.rows, counter, &Row::raw);
  DASSERT(row != info.rows.end());
  std::shared_ptr<const Scope> scope;
  {
    const std::lock_guard lock(mutex_);
    const Scopes& all = scopes_[static_cast<size_t>(kind)];
    const auto found = all.find(raw_name(info, sanitize_name(name), {}));
    if (found == all.end()) return 0;
    scope = found->second;
  }
  RowValue value;
  (void)read(*scope, *row, value);
  return static_cast<uint64_t>(value.number);
}

void Registry::reset_counters() {
  for (size_t kind = 0; kind < scopes_.size(); ++kind) {
    for (const std::shared_ptr<Scope>& scope : list<Scope>(static_cast<Kind>(kind))) {
      const std::lock_guard lock(mutex_);
      reset_counters(*scope);
    }
  }
}

// Blocks belong to their writers, so what they hold now is taken away in the folded block.  Where
// nothing was counted there is nothing to take: of ten thousand clusters most are never called.
void Registry::reset_counters(Scope& scope) {
  if (scope.slots_.empty()) return;  // it has died meanwhile
  const KindInfo& info = kind_info(scope.kind());
  const auto has_counted = [&info](const void* block) {
    return std::ranges::any_of(info.rows,
                               [block](const Row& row) { return has_count(block, row); });
  };
  if (scope.folded_ == nullptr &&
      std::ranges::none_of(scope.slots_, has_counted, [](const Scope::Slot& s) { return s.block; }))
    return;
  void* fresh = info.make();
  for (const Row& row : info.rows) {
    for (const Scope::Slot& slot : scope.slots_) fold_counters(fresh, slot.block, row, true);
    if (scope.folded_ == nullptr) continue;
    if (row.type == RowType::kHistogram) {
      fold_histogram(fresh, scope.folded_, row);
    } else if (row.type == RowType::kGauge && at<Gauge>(scope.folded_, row).used()) {
      at<Gauge>(fresh, row).add(0);
    }
  }
  if (scope.folded_ != nullptr) info.destroy(scope.folded_);
  scope.folded_ = fresh;
}

std::string sanitize_name(std::string_view name, Colons colons) {
  std::string out;
  out.reserve(name.size());
  while (!name.empty()) {
    size_t take = 1;
    const bool replaces = colons == Colons::kReplaced;
    if (replaces && name.starts_with("://")) {
      take = 3;
    } else if (replaces && name.starts_with(":/")) {
      take = 2;
    } else if (const auto c = static_cast<unsigned char>(name[0]);
               (c != ':' || !replaces) && c >= 0x20 && c != 0x7f) {
      take = utf8_length(name);
      if (take != 0) {
        out += name.substr(0, take);
        name.remove_prefix(take);
        continue;
      }
      take = 1;
    }
    out += '_';
    name.remove_prefix(take);
  }
  return out;
}

}  // namespace pillion::stats
