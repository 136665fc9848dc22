#pragma once
// The filters that there are.  The builder hands the lists to core/, which knows none of them.

#include <span>

#include "proxy/core/http_filter.h"
#include "proxy/core/network_filter.h"

namespace pillion::filters {

// Constant; the router, which ends every list, is core's own.
std::span<const core::HttpFilterType> http_filters();
// The same of network filters; those that end a chain are core's.
std::span<const core::NetworkFilterType> network_filters();

}  // namespace pillion::filters
