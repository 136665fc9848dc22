// The only list of filters: one line each (filters/README.md).
#include "filters/registry.h"

namespace pillion::filters {

// Each in its file in filters/http/.
extern const core::HttpFilterType kBuffer;
extern const core::HttpFilterType kCors;
extern const core::HttpFilterType kExtAuthz;
extern const core::HttpFilterType kFault;
extern const core::HttpFilterType kGrpcHttp1Bridge;
extern const core::HttpFilterType kGrpcStats;
extern const core::HttpFilterType kGrpcWeb;
extern const core::HttpFilterType kHeaderMutation;
extern const core::HttpFilterType kHealthCheck;
extern const core::HttpFilterType kJwtAuthn;
extern const core::HttpFilterType kLocalRateLimit;
extern const core::HttpFilterType kOnDemand;
extern const core::HttpFilterType kPrincipalStats;
extern const core::HttpFilterType kRbac;
extern const core::HttpFilterType kSetFilterState;

// Each in its file in filters/network/.
extern const core::NetworkFilterType kNetworkRbac;

std::span<const core::HttpFilterType> http_filters() {
  static const core::HttpFilterType types[] = {
      kBuffer,         kCors,     kExtAuthz,       kFault,       kGrpcHttp1Bridge,
      kGrpcStats,      kGrpcWeb,  kHeaderMutation, kHealthCheck, kJwtAuthn,
      kLocalRateLimit, kOnDemand, kPrincipalStats, kRbac,        kSetFilterState,
  };
  return types;
}

std::span<const core::NetworkFilterType> network_filters() {
  static const core::NetworkFilterType types[] = {kNetworkRbac};
  return types;
}

}  // namespace pillion::filters
