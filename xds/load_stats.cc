#include "xds/load_stats.h"

#include <algorithm>

#include "proxy/base/protobuf_wire.h"

namespace pillion::xds {
namespace {

using wire::write_bytes;
using wire::write_item;
using wire::write_number;

// Clusters that a server may name; beyond it the rest is not reported.
constexpr size_t kMaxClusters = 200'000;

std::string encode_locality(const upstream::Locality& locality) {
  std::string out;
  write_bytes(out, 1, locality.region);
  write_bytes(out, 2, locality.zone);
  write_bytes(out, 3, locality.sub_zone);
  return out;
}

// envoy.config.core.v3.Address
std::string encode_address(const io::Address& address) {
  std::string inner, out;
  if (address.is_ip()) {
    write_bytes(inner, 2, address.ip_string());
    write_number(inner, 3, address.port());
    write_item(out, 1, inner);
  } else {
    write_bytes(inner, 1, address.path());
    write_item(out, 2, inner);
  }
  return out;
}

std::string encode_endpoint(const EndpointLoad& endpoint) {
  std::string out;
  write_item(out, 1, encode_address(endpoint.address));
  write_number(out, 2, endpoint.load.successful);
  write_number(out, 3, endpoint.load.in_progress);
  write_number(out, 4, endpoint.load.failed);
  write_number(out, 7, endpoint.load.issued);
  return out;
}

std::string encode_locality_load(const LocalityLoad& one) {
  std::string out;
  write_item(out, 1, encode_locality(one.locality));
  write_number(out, 2, one.load.successful);
  write_number(out, 3, one.load.in_progress);
  write_number(out, 4, one.load.failed);
  write_number(out, 6, one.priority);
  for (const EndpointLoad& endpoint : one.endpoints) write_item(out, 7, encode_endpoint(endpoint));
  write_number(out, 8, one.load.issued);
  write_number(out, 9, one.load.active_connections);
  write_number(out, 10, one.load.new_connections);
  write_number(out, 11, one.load.failed_connections);
  return out;
}

std::string encode_duration(Duration time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  std::string out;
  write_number(out, 1, static_cast<uint64_t>(seconds.count()));
  write_number(out, 2, static_cast<uint64_t>((time - seconds).count()));
  return out;
}

std::string encode_cluster(const ClusterLoad& cluster) {
  std::string out;
  write_bytes(out, 1, cluster.name);
  for (const LocalityLoad& one : cluster.localities) write_item(out, 2, encode_locality_load(one));
  write_number(out, 3, cluster.dropped);
  write_item(out, 4, encode_duration(cluster.interval));
  write_bytes(out, 6, cluster.service_name);
  return out;
}

// False: no message.  What is negative or too long is cut.
bool decode_duration(std::string_view bytes, Duration& out) {
  constexpr uint64_t kMaxSeconds = 86'400;
  uint64_t seconds = 0, nanos = 0;
  wire::Reader in(bytes);
  for (wire::Field f; in.next(f);) {
    if (f.number == 1) seconds = f.value;
    if (f.number == 2) nanos = f.value;
  }
  const bool is_negative = seconds > INT64_MAX || nanos > INT64_MAX;
  const uint64_t whole = is_negative ? 0 : std::min(seconds, kMaxSeconds);
  const uint64_t part = is_negative ? 0 : std::min<uint64_t>(nanos, 999'999'999);
  out = std::chrono::seconds(whole) + std::chrono::nanoseconds(part);
  return in.is_sound();
}

}  // namespace

void Load::add(const Load& other) noexcept {
  successful += other.successful;
  failed += other.failed;
  issued += other.issued;
  in_progress += other.in_progress;
  active_connections += other.active_connections;
  new_connections += other.new_connections;
  failed_connections += other.failed_connections;
}

std::string encode_load_request(std::string_view node, const std::vector<ClusterLoad>& clusters) {
  std::string out;
  write_bytes(out, 1, node);
  for (const ClusterLoad& cluster : clusters) write_item(out, 2, encode_cluster(cluster));
  return out;
}

Result<LoadStatsResponse> decode_load_response(std::string_view bytes) {
  LoadStatsResponse out;
  bool is_sound = true;
  wire::Reader in(bytes);
  for (wire::Field f; in.next(f);) {
    if (f.number == 1 && out.clusters.size() < kMaxClusters) out.clusters.emplace_back(f.bytes);
    if (f.number == 2) is_sound &= decode_duration(f.bytes, out.interval);
    if (f.number == 3) out.endpoints_too = f.value != 0;
    if (f.number == 4) out.all_clusters = f.value != 0;
  }
  if (!is_sound || !in.is_sound()) return Error{"the bytes are no LoadStatsResponse"};
  return out;
}

}  // namespace pillion::xds
