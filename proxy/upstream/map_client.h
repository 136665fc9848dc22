#pragma once
// MapClient: the ClusterClient of a loop that has a ClusterMap (control).  Owned by whoever owns
// the map; loop, batch and map outlive it, and it its calls.

#include "proxy/io/loop.h"
#include "proxy/io/writer.h"
#include "proxy/upstream/cluster_client.h"
#include "proxy/upstream/cluster_map.h"

namespace pillion::upstream {

class MapClient final : public ClusterClient {
 public:
  MapClient(io::Loop& loop, io::WriteBatch& batch, ClusterMap& clusters) noexcept
      : loop_(loop), batch_(batch), clusters_(clusters) {}

  ClientCallPtr open(std::string_view cluster, const CallHead& head,
                     ClientCallObserver& observer) override;

 private:
  io::Loop& loop_;
  io::WriteBatch& batch_;
  ClusterMap& clusters_;
};

}  // namespace pillion::upstream
