#include "proxy/discovery/source.h"

namespace pillion::discovery {
namespace {

upstream::HostSetPtr with_identity(const upstream::HostSet& endpoints,
                                   const upstream::HostSetPtr& previous) {
  std::vector<upstream::HostInfo> infos;
  infos.reserve(endpoints.hosts.size());
  for (const upstream::HostInfoPtr& host : endpoints.hosts) infos.push_back(*host);
  return upstream::make_host_set(infos, previous);
}

}  // namespace

StaticSource::StaticSource(const upstream::HostSet& endpoints, const upstream::HostSetPtr& previous)
    : Source(with_identity(endpoints, previous)) {}

}  // namespace pillion::discovery
