#pragma once
// The HTTP filters that there are.  The builder hands the list to core/, which knows no filter.

#include <span>

#include "proxy/core/http_filter.h"

namespace pillion::filters {

// Constant; the router, which ends every list, is core's own.
std::span<const core::HttpFilterType> http_filters();

}  // namespace pillion::filters
