#pragma once
// The methods by which a discovery service is asked (envoy.service.*.v3).

#include <cstdint>
#include <optional>
#include <string_view>

#include "xds/discovery_message.h"

namespace pillion::xds {

enum class Protocol : uint8_t { kStateOfTheWorld, kDelta };

// Of the aggregated stream, or of one type.  Empty where there is none: virtual hosts are said by
// delta alone.
std::string_view method_path(std::optional<ResourceType> only, Protocol protocol) noexcept;

}  // namespace pillion::xds
