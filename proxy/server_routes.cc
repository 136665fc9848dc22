// What requests without a route ask for, between workers and the control plane.
#include <memory>

#include "proxy/server.h"

namespace pillion {

// On a worker's thread.
void Server::ask_for_route(const core::RouteName& name) {
  inbox_.post([this, name] {
    if (shutting_down_) return;
    if (control_plane_ == nullptr) return on_routes_answered({name});
    control_plane_->want_route(name);
  });
}

void Server::on_routes_answered(const std::vector<core::RouteName>& names) {
  const auto shared = std::make_shared<const std::vector<core::RouteName>>(names);
  for (const auto& worker : workers_)
    worker->post([shared](Worker& w) { w.answer_routes(*shared); });
}

}  // namespace pillion
