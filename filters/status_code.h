#pragma once
// The names of statuses in configurations.

#include "proxy/config/node.h"

namespace pillion::filters {

// envoy.type.v3.StatusCode, those that can be meant here.
inline constexpr config::EnumRow kStatusCodes[] = {
    {"Empty", 0},
    {"Continue", 100},
    {"OK", 200},
    {"BadRequest", 400},
    {"Unauthorized", 401},
    {"PaymentRequired", 402},
    {"Forbidden", 403},
    {"NotFound", 404},
    {"MethodNotAllowed", 405},
    {"NotAcceptable", 406},
    {"RequestTimeout", 408},
    {"Conflict", 409},
    {"Gone", 410},
    {"PreconditionFailed", 412},
    {"PayloadTooLarge", 413},
    {"ExpectationFailed", 417},
    {"MisdirectedRequest", 421},
    {"UnprocessableEntity", 422},
    {"TooManyRequests", 429},
    {"InternalServerError", 500},
    {"NotImplemented", 501},
    {"BadGateway", 502},
    {"ServiceUnavailable", 503},
    {"GatewayTimeout", 504},
    {"InsufficientStorage", 507},
};

}  // namespace pillion::filters
