#pragma once
// Subscriptions::Link: one source, and what it is asked.  Internal to Subscriptions, which owns it
// and outlives it; what it hears goes to the observer of Subscriptions with its number, and of the
// aggregated stream to the last good state first.

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/control/subscriptions.h"

namespace pillion {

inline const std::string kAllHosts = "*";  // the name of all virtual hosts (VHDS)

class Subscriptions::Link final : public xds::SourceObserver {
 public:
  Link(Subscriptions& owner, uint32_t number) : owner_(owner), number_(number) {}

  void on_resources(xds::Response&& response) override {
    response.source = number_;
    if (is_ads) owner_.heard(response);
    owner_.observer_.on_resources(std::move(response));
  }
  void on_fetch_timeout(xds::ResourceType type, const std::set<std::string>& names) override {
    owner_.observer_.on_fetch_timeout(type, names);
  }
  void on_connected(bool connected, std::string_view cluster, std::string_view text) override {
    if (is_voice()) owner_.observer_.on_connected(connected, cluster, text);
  }
  // Beside ADS others are no voice of the control plane.
  [[nodiscard]] bool is_voice() const noexcept { return is_ads || !owner_.ads_options_; }

  std::unique_ptr<xds::Source> source;
  bool is_ads = false;
  struct Asked {
    bool is_wildcard = false;
    Names names;
    uint64_t told_failures = 0;
  };
  std::array<Asked, xds::kResourceTypes> asked;
  Asked& at(xds::ResourceType type) { return asked[static_cast<size_t>(type)]; }
  [[nodiscard]] const Asked& at(xds::ResourceType type) const {
    return asked[static_cast<size_t>(type)];
  }
  [[nodiscard]] uint32_t number() const noexcept { return number_; }

 private:
  Subscriptions& owner_;
  const uint32_t number_;
};

}  // namespace pillion
