#pragma once
// CachedSource: the last good state in the place of a control plane that does not answer.
//
// Owned by Subscriptions, on the control loop.  It says what it has of what it is asked for, once
// for each name, and knows no changes; forget(type) when the control plane has spoken of that type.
// Of virtual hosts the name "*" asks for all, as it does of VHDS.

#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "proxy/io/loop.h"
#include "xds/source.h"

namespace pillion {

class CachedSource final : public xds::Source, private io::ReadyTask {
 public:
  CachedSource(io::Loop& loop, std::vector<xds::Response> responses, xds::SourceObserver& observer);

  void start() override {}
  void stop() override;
  // Timeouts are those of the source that it stands for.
  void subscribe_all(xds::ResourceType type, Duration timeout) override;
  void subscribe(xds::ResourceType type, const xds::AskedNames& names) override;
  void change(xds::ResourceType type, const xds::AskedNames& names,
              const std::vector<std::string>& touched) override;
  void accept(xds::ResourceType type) override;
  void reject(xds::ResourceType type, std::string_view) override { accept(type); }
  void reject(xds::ResourceType type, std::string_view, const std::set<std::string>&) override {
    accept(type);
  }
  void answered(xds::ResourceType, std::string_view) override {}
  [[nodiscard]] bool is_connected() const noexcept override { return false; }
  [[nodiscard]] const std::string& version(xds::ResourceType) const noexcept override {
    return version_;
  }
  [[nodiscard]] const xds::SourceCounts& counts(xds::ResourceType) const noexcept override {
    return counts_;
  }

  void forget(xds::ResourceType type);

 private:
  struct Lane {
    std::map<std::string, xds::Resource> resources;
    bool is_wildcard = false;
    bool is_open = false;
    std::vector<std::string> due;
  };
  void run_ready() override;
  void say_all(Lane& lane);
  Lane& at(xds::ResourceType type) { return lanes_[static_cast<size_t>(type)]; }

  io::Loop& loop_;
  xds::SourceObserver& observer_;
  std::array<Lane, xds::kResourceTypes> lanes_;
  const std::string version_;
  const xds::SourceCounts counts_;
};

}  // namespace pillion
