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

EdsSource::EdsSource(SourceObserver& observer)
    : Source(upstream::make_host_set({}, nullptr)), observer_(observer) {}

void EdsSource::set(const upstream::HostSet& endpoints) {
  upstream::HostSetPtr next = with_identity(endpoints, hosts_);
  Update update;
  update.is_counted = true;
  update.hosts_changed = next != hosts_;
  update.outcome = next->hosts.empty()    ? Outcome::kEmpty
                   : update.hosts_changed ? Outcome::kChanged
                                          : Outcome::kUnchanged;
  hosts_ = std::move(next);
  observer_.on_update(*this, update);
}

}  // namespace pillion::discovery
