#pragma once
// What more than one folder must know of gRPC: its requests by their content-type, and which status
// of HTTP stands for which of gRPC, both ways.

#include <cstdint>

#include "proxy/http/headers.h"

namespace pillion::http {

inline constexpr std::string_view kGrpcContentType = "application/grpc";

// By content-type: application/grpc, alone or with "+proto", ";..." and the like; not grpc-web.
bool is_grpc(const Headers& request) noexcept;

// What a client of gRPC makes of a status of HTTP (gRPC's doc/http-grpc-status-mapping.md).
uint32_t grpc_status_of_http(uint16_t status) noexcept;

// As which status of HTTP a grpc-status counts (Envoy's table); 500 for one that is not known.
uint16_t http_status_of_grpc(uint64_t grpc_status) noexcept;

}  // namespace pillion::http
