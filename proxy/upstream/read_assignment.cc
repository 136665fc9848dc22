#include "proxy/upstream/read_assignment.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "proxy/base/protobuf_wire.h"
#include "proxy/base/str.h"
#include "proxy/upstream/balancer_options.h"

namespace pillion::upstream {
namespace {

using wire::Field;

// Beyond, the limits of documents (xds/reflect.h) might be reached.
constexpr size_t kMostItems = 50'000;
// Of a namespace of metadata; longer names are cut where they are told.
constexpr size_t kLongestNamespace = 100;
// Namespaces are looked for one by one.
constexpr size_t kMostLeftOut = 8;
constexpr size_t kMostLabels = 16;

constexpr uint32_t bit(uint32_t number) noexcept { return 1u << number; }

// The fields of a message in which each number comes once, but for `lists`.
class Fields {
 public:
  explicit Fields(std::string_view bytes, uint32_t lists = 0) noexcept
      : in_(bytes), lists_(lists) {}

  bool next(Field& field) noexcept {
    if (!in_.next(field)) return false;
    if (field.number >= 32 || (seen_ & bit(field.number) & ~lists_) != 0) return is_plain_ = false;
    seen_ |= bit(field.number);
    return true;
  }
  [[nodiscard]] bool are_plain() const noexcept { return is_plain_ && in_.is_sound(); }
  [[nodiscard]] bool had(uint32_t number) const noexcept { return (seen_ & bit(number)) != 0; }

 private:
  wire::Reader in_;
  const uint32_t lists_;
  uint32_t seen_ = 0;
  bool is_plain_ = true;
};

// ---- values; false: not a plain one ----

bool read_number(const Field& field, uint64_t most, uint64_t& out) noexcept {
  // Fields of fixed size come with their bytes.
  if (field.is_bytes || !field.bytes.empty() || field.value > most) return false;
  out = field.value;
  return true;
}

// As protobuf checks that it is UTF-8, and as documents have no control characters.
bool read_text(const Field& field, std::string_view& out) noexcept {
  const auto is_plain = [](char c) { return c >= 0x20 && c < 0x7f; };
  if (!field.is_bytes || !std::ranges::all_of(field.bytes, is_plain)) return false;
  out = field.bytes;
  return true;
}

// google.protobuf.UInt32Value
bool read_wrapper(const Field& field, uint64_t& out) noexcept {
  if (!field.is_bytes) return false;
  out = 0;
  Fields in(field.bytes);
  for (Field f; in.next(f);) {
    if (f.number != 1 || !read_number(f, UINT32_MAX, out)) return false;
  }
  return in.are_plain();
}

// google.protobuf.Struct with nothing but texts
bool read_struct(std::string_view bytes, LabelSet& out) {
  Fields in(bytes, bit(1));
  for (Field entry; in.next(entry);) {
    if (entry.number != 1 || !entry.is_bytes) return false;
    std::string_view key;
    std::string_view value;
    bool has_value = false;
    Fields parts(entry.bytes);
    for (Field f; parts.next(f);) {
      if (f.number == 1 && read_text(f, key)) continue;
      if (f.number != 2 || !f.is_bytes) return false;
      Fields kinds(f.bytes);
      for (Field kind; kinds.next(kind);) {
        if (kind.number != 3 || !read_text(kind, value)) return false;
        has_value = true;
      }
      if (!kinds.are_plain()) return false;
    }
    const bool is_again = std::ranges::find(out, key, &LabelSet::value_type::first) != out.end();
    if (!parts.are_plain() || !has_value || is_again || out.size() == kMostLabels) return false;
    out.emplace_back(key, label_text(value));
  }
  std::ranges::sort(out);
  return in.are_plain();
}

// config.core.v3.Locality
bool read_locality(std::string_view bytes, SharedValue<Locality>& out) {
  std::string_view texts[3];
  Fields in(bytes);
  for (Field f; in.next(f);) {
    if (f.number > 3 || !read_text(f, texts[f.number - 1])) return false;
  }
  if (!in.are_plain()) return false;
  out = SharedValue<Locality>(
      Locality{std::string(texts[0]), std::string(texts[1]), std::string(texts[2])});
  return true;
}

// Endpoint.HealthCheckConfig
bool read_check(std::string_view bytes, SharedValue<CheckTarget>& out) {
  uint64_t port = 0;
  uint64_t is_disabled = 0;
  std::string_view hostname;
  Fields in(bytes);
  for (Field f; in.next(f);) {
    const bool is_good = f.number == 1   ? read_number(f, UINT16_MAX, port)
                         : f.number == 2 ? read_text(f, hostname)
                         : f.number == 4 ? read_number(f, 1, is_disabled)
                                         : false;
    if (!is_good) return false;
  }
  if (!in.are_plain()) return false;
  out = SharedValue<CheckTarget>(
      CheckTarget{static_cast<uint16_t>(port), std::string(hostname), is_disabled != 0});
  return true;
}

// config.core.v3.SocketAddress
bool read_socket_address(std::string_view bytes, io::Address& out) {
  uint64_t nothing = 0;
  uint64_t port = 0;
  std::string_view text;
  Fields in(bytes);
  for (Field f; in.next(f);) {
    const bool is_good = f.number == 1   ? read_number(f, 0, nothing)  // protocol TCP
                         : f.number == 2 ? read_text(f, text)
                         : f.number == 3 ? read_number(f, UINT16_MAX, port)
                         : f.number == 6 ? read_number(f, 0, nothing)  // no ipv4_compat
                                         : false;
    if (!is_good) return false;
  }
  if (!in.are_plain() || !in.had(3)) return false;
  const Result<io::Address> ip = io::Address::parse_ip(text, static_cast<uint16_t>(port));
  if (!ip) return false;
  out = *ip;
  return true;
}

// config.core.v3.Address
bool read_address(std::string_view bytes, io::Address& out) {
  Fields in(bytes);
  for (Field f; in.next(f);) {
    if (f.number != 1 || !f.is_bytes || !read_socket_address(f.bytes, out)) return false;
  }
  return in.are_plain() && in.had(1);
}

// ---- the message ----

class AssignmentReader {
 public:
  explicit AssignmentReader(PlainAssignment& out) noexcept
      : out_(out.endpoints), left_out_(out.left_out) {}

  bool read(std::string_view bytes) {
    std::string_view name;
    Fields in(bytes, bit(2));
    for (Field f; in.next(f);) {
      const bool is_good = f.number == 1   ? read_text(f, name)
                           : f.number == 2 ? f.is_bytes && read_group(f.bytes)
                           : f.number == 4 ? f.is_bytes && is_usual_policy(f.bytes)
                                           : false;
      if (!is_good) return false;
    }
    return in.are_plain();
  }

 private:
  static bool is_usual_policy(std::string_view bytes) noexcept {
    uint64_t overprovisioning = 0;
    Fields in(bytes);
    for (Field f; in.next(f);) {
      if (f.number != 3 || !read_wrapper(f, overprovisioning)) return false;
    }
    return in.are_plain() && (!in.had(3) || overprovisioning == BalancerOptions().overprovisioning);
  }

  // LocalityLbEndpoints
  bool read_group(std::string_view bytes) {
    Endpoint like;
    of_locality_.clear();
    last_labels_.reset();
    uint64_t priority = 0;
    uint64_t unused = 0;  // weights and distances of localities have no effect
    size_t count = 0;
    std::string_view labels;
    Fields in(bytes, bit(2));
    for (Field f; in.next(f);) {
      const bool is_good = f.number == 1   ? f.is_bytes && read_locality(f.bytes, like.locality)
                           : f.number == 2 ? f.is_bytes && ++count != 0
                           : f.number == 3 ? read_wrapper(f, unused)
                           : f.number == 5 ? read_number(f, kMaxPriority, priority)
                           : f.number == 6 ? read_wrapper(f, unused)
                           : f.number == 9 ? f.is_bytes && read_metadata(f.bytes, labels)
                                           : false;
      if (!is_good) return false;
    }
    if (!labels.empty() && !read_struct(labels, of_locality_)) return false;
    items_ += 1 + count;
    if (!in.are_plain() || items_ > kMostItems) return false;
    like.priority = static_cast<uint8_t>(priority);
    if (out_.empty()) out_.reserve(count);
    // What they have in common may stand behind them.
    wire::Reader again(bytes);
    for (Field f; again.next(f);) {
      if (f.number == 2 && !read_item(f.bytes, like)) return false;
    }
    return true;
  }

  // LbEndpoint
  bool read_item(std::string_view bytes, const Endpoint& like) {
    Endpoint& host = out_.emplace_back(like);
    uint64_t health = 0;
    uint64_t weight = 1;
    std::string_view labels;
    Fields in(bytes);
    for (Field f; in.next(f);) {
      const bool is_good = f.number == 1   ? f.is_bytes && read_endpoint(f.bytes, host)
                           : f.number == 2 ? read_number(f, uint64_t{kLastHealth}, health)
                           : f.number == 3 ? f.is_bytes && read_metadata(f.bytes, labels)
                           : f.number == 4 ? read_wrapper(f, weight) && weight != 0
                                           : false;
      if (!is_good) return false;
    }
    host.health = static_cast<HealthStatus>(health);
    host.weight = static_cast<uint32_t>(weight);
    return in.are_plain() && in.had(1) && set_labels(labels, host);
  }

  // config.core.v3.Metadata; `labels`: the Struct of those for the transport socket, if any.
  bool read_metadata(std::string_view bytes, std::string_view& labels) {
    uint32_t known = 0;
    Fields in(bytes, bit(1));
    for (Field entry; in.next(entry);) {
      std::string_view name;
      std::string_view value;
      if (entry.number != 1 || !entry.is_bytes) return false;
      Fields parts(entry.bytes);
      for (Field f; parts.next(f);) {
        if (f.number > 2 || !f.is_bytes || !read_text_or_bytes(f, name, value)) return false;
      }
      if (!parts.are_plain() || name.empty() || name.size() > kLongestNamespace) return false;
      // Of two with one name the last counts, which is not plain.
      const uint32_t mark = bit(index_of(name));
      if ((known & mark) != 0 || left_out_.size() > kMostLeftOut) return false;
      known |= mark;
      if (name == kTransportLabels) {
        labels = value;
        continue;
      }
      LabelSet unused;
      if (!read_struct(value, unused)) return false;
    }
    return in.are_plain();
  }
  static bool read_text_or_bytes(const Field& field, std::string_view& name,
                                 std::string_view& value) noexcept {
    if (field.number == 1) return read_text(field, name);
    value = field.bytes;
    return true;
  }
  // A number for that namespace; one that has no effect is noted.
  uint32_t index_of(std::string_view name) {
    if (name == kTransportLabels) return 0;
    if (name == kSubsetLabels) return 1;
    const std::string field = str("filter_metadata[", name, "]");
    const auto it = std::ranges::find(left_out_, field);
    const auto index = static_cast<uint32_t>(it - left_out_.begin());
    if (it == left_out_.end()) left_out_.push_back(field);
    return 2 + index;
  }
  // Most endpoints of a locality say the same.
  bool set_labels(std::string_view labels, Endpoint& host) {
    if (!last_labels_ || last_labels_->first != labels) {
      LabelSet own;
      if (!read_struct(labels, own)) return false;
      last_labels_.emplace(labels, make_transport_labels(std::move(own), of_locality_));
    }
    host.transport = last_labels_->second;
    return true;
  }

  static bool read_endpoint(std::string_view bytes, Endpoint& host) {
    std::string_view hostname;
    Fields in(bytes);
    for (Field f; in.next(f);) {
      const bool is_good = f.number == 1   ? f.is_bytes && read_address(f.bytes, host.address)
                           : f.number == 2 ? f.is_bytes && read_check(f.bytes, host.check)
                           : f.number == 3 ? read_text(f, hostname)
                                           : false;
      if (!is_good) return false;
    }
    host.hostname = hostname;
    return in.are_plain() && in.had(1);
  }

  // Their numbers are those of config.core.v3.HealthStatus.
  static constexpr auto kLastHealth = static_cast<uint8_t>(HealthStatus::kDegraded);

  Endpoints& out_;
  std::vector<std::string>& left_out_;
  size_t items_ = 0;
  LabelSet of_locality_;                                                        // of the group
  std::optional<std::pair<std::string_view, TransportLabelsPtr>> last_labels_;  // and of these
};

}  // namespace

bool read_assignment(std::string_view bytes, PlainAssignment& out) {
  return AssignmentReader(out).read(bytes);
}

}  // namespace pillion::upstream
