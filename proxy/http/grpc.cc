#include "proxy/http/grpc.h"

#include <iterator>

namespace pillion::http {

bool is_grpc(const Headers& request) noexcept {
  const std::string_view type = request.get(HeaderId::kContentType);
  if (!type.starts_with(kGrpcContentType)) return false;
  const std::string_view rest = type.substr(kGrpcContentType.size());
  return rest.empty() || rest.front() == '+' || rest.front() == ';';
}

uint32_t grpc_status_of_http(uint16_t status) noexcept {
  switch (status) {
    case 400:
      return 13;  // INTERNAL
    case 401:
      return 16;  // UNAUTHENTICATED
    case 403:
      return 7;  // PERMISSION_DENIED
    case 404:
      return 12;  // UNIMPLEMENTED
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;  // UNAVAILABLE
    default:
      return 2;  // UNKNOWN
  }
}

uint16_t http_status_of_grpc(uint64_t grpc_status) noexcept {
  static constexpr uint16_t kStatuses[] = {200, 499, 500, 400, 504, 404, 409, 403, 429,
                                           400, 409, 400, 501, 500, 503, 500, 401};
  return grpc_status < std::size(kStatuses) ? kStatuses[grpc_status] : uint16_t{500};
}

}  // namespace pillion::http
