#include "filters/http/grpc_stats_table.h"

#include <algorithm>

#include "proxy/base/str.h"

namespace pillion::filters {
namespace {

constexpr size_t kLongestName = 128;

bool is_plain_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

}  // namespace

GrpcMethod grpc_method(std::string_view path) noexcept {
  path = path.substr(0, path.find('?'));
  if (!path.starts_with('/')) return {};
  path.remove_prefix(1);
  const size_t slash = path.find('/');
  if (slash == path.npos) return {};
  const GrpcMethod found{path.substr(0, slash), path.substr(slash + 1)};
  const bool is_one = !found.service.empty() && !found.method.empty() &&
                      found.method.find('/') == std::string_view::npos;
  return is_one ? found : GrpcMethod{};
}

bool is_plain(const GrpcMethod& method) noexcept {
  const auto [service, name] = method;
  return !service.empty() && !name.empty() && service.size() <= kLongestName &&
         name.size() <= kLongestName && service.front() != '.' && service.back() != '.' &&
         std::ranges::all_of(service, [](char c) { return c == '.' || is_plain_char(c); }) &&
         std::ranges::all_of(name, is_plain_char);
}

size_t GrpcTable::Hash::operator()(const GrpcKey& key) const noexcept {
  const std::hash<std::string_view> hash;
  size_t all = hash(key.cluster);
  for (const std::string_view part : {key.method.service, key.method.method})
    all = all * 31 + hash(part);
  return all;
}

GrpcTable::Entry& GrpcTable::make(const GrpcKey& key, bool replace_dots) {
  Owned owned{std::string(key.cluster), std::string(key.method.service),
              std::string(key.method.method)};
  std::string name;
  if (!owned.method.empty()) {
    std::string service = owned.service;
    if (replace_dots) std::ranges::replace(service, '.', '_');
    name = str('.', service, '.', owned.method);
    ++methods_;
  }
  Entry entry{registry_.block<stats::GrpcStats>(writer_, owned.cluster, name)};
  return entries_.emplace(std::move(owned), std::move(entry)).first->second;
}

}  // namespace pillion::filters
