#include "proxy/discovery/source.h"

namespace pillion::discovery {

StaticSource::StaticSource(const upstream::HostSet& endpoints, const upstream::HostSetPtr& previous)
    : Source(upstream::with_identity(endpoints, previous)) {}

EdsSource::EdsSource(SourceObserver& observer)
    : Source(std::make_shared<const upstream::HostSet>()), observer_(observer) {}

void EdsSource::set(upstream::HostSetPtr next) {
  if (next->hosts.empty() && hosts_->hosts.empty()) next = hosts_;
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
