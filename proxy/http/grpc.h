#pragma once
// What more than one folder must know of gRPC: its requests by their content-type, its status, and
// which status of HTTP stands for which of gRPC, both ways.

#include <cstdint>
#include <optional>

#include "proxy/http/headers.h"

namespace pillion::http {

inline constexpr std::string_view kGrpcContentType = "application/grpc";

// By content-type: application/grpc, alone or with "+proto", ";..." and the like; not grpc-web.
// The one definition, of requests and of responses.
bool is_grpc(const Headers& message) noexcept;

// grpc-status of trailers, or of the head of a response without a body (Trailers-Only).  None
// without the field; -1 if it is no number (Envoy's InvalidCode).
std::optional<int64_t> grpc_status(const Headers& fields) noexcept;
// The same of a whole response: its trailers, which may be null, count more than its head.
std::optional<int64_t> grpc_status(const Headers& head, const Headers* trailers) noexcept;

// What a client of gRPC makes of a status of HTTP (gRPC's doc/http-grpc-status-mapping.md).
uint32_t grpc_status_of_http(uint16_t status) noexcept;

// The same as the value of grpc-status.
std::string_view grpc_status_text(uint16_t http_status) noexcept;

// A text as the value of grpc-message, in the arena: all but visible ASCII and space is
// percent-encoded, and so is the sign itself (gRPC over HTTP/2, "Percent-Encoded").
std::string_view grpc_message_text(std::string_view text, Arena& arena);

// As which status of HTTP a grpc-status counts (Envoy's table); 500 for one that is not known, and
// so for -1.
uint16_t http_status_of_grpc(int64_t grpc_status) noexcept;

}  // namespace pillion::http
