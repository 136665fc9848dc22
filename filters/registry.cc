// The only list of filters: one line each (filters/README.md).
#include "filters/registry.h"

namespace pillion::filters {

// Each in its file in filters/http/.
extern const core::HttpFilterType kBuffer;
extern const core::HttpFilterType kFault;
extern const core::HttpFilterType kGrpcHttp1Bridge;
extern const core::HttpFilterType kGrpcStats;
extern const core::HttpFilterType kGrpcWeb;
extern const core::HttpFilterType kHeaderMutation;
extern const core::HttpFilterType kHealthCheck;
extern const core::HttpFilterType kLocalRateLimit;
extern const core::HttpFilterType kPrincipalStats;
extern const core::HttpFilterType kSetFilterState;

std::span<const core::HttpFilterType> http_filters() {
  static const core::HttpFilterType types[] = {
      kBuffer,         kFault,       kGrpcHttp1Bridge, kGrpcStats,      kGrpcWeb,
      kHeaderMutation, kHealthCheck, kLocalRateLimit,  kPrincipalStats, kSetFilterState,
  };
  return types;
}

}  // namespace pillion::filters
