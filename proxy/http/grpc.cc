#include "proxy/http/grpc.h"

#include <charconv>
#include <iterator>

namespace pillion::http {

bool is_grpc(const Headers& message) noexcept {
  const std::string_view type = message.get(HeaderId::kContentType);
  if (!type.starts_with(kGrpcContentType)) return false;
  const std::string_view rest = type.substr(kGrpcContentType.size());
  return rest.empty() || rest.front() == '+' || rest.front() == ';';
}

std::optional<int64_t> grpc_status(const Headers& fields) noexcept {
  const Field* field = fields.find(HeaderId::kGrpcStatus);
  if (field == nullptr) return std::nullopt;
  uint32_t status = 0;
  const char* end = field->value.data() + field->value.size();
  const auto [at, error] = std::from_chars(field->value.data(), end, status);
  return error == std::errc{} && at == end ? int64_t{status} : int64_t{-1};
}

std::optional<int64_t> grpc_status(const Headers& head, const Headers* trailers) noexcept {
  const std::optional<int64_t> status = trailers != nullptr ? grpc_status(*trailers) : std::nullopt;
  return status ? status : grpc_status(head);
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

std::string_view grpc_status_text(uint16_t http_status) noexcept {
  static constexpr std::string_view kTexts[] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                                "9", "10", "11", "12", "13", "14", "15", "16"};
  return kTexts[grpc_status_of_http(http_status)];
}

std::string_view grpc_message_text(std::string_view text, Arena& arena) {
  constexpr char kHex[] = "0123456789ABCDEF";
  char* const begin = arena.allocate_array<char>(3 * text.size());
  char* out = begin;
  for (const char c : text) {
    const auto u = static_cast<uint8_t>(c);
    if (u >= 0x20 && u < 0x7f && c != '%') {
      *out++ = c;
      continue;
    }
    *out++ = '%';
    *out++ = kHex[u >> 4];
    *out++ = kHex[u & 15];
  }
  return {begin, static_cast<size_t>(out - begin)};
}

uint16_t http_status_of_grpc(int64_t grpc_status) noexcept {
  static constexpr uint16_t kStatuses[] = {200, 499, 500, 400, 504, 404, 409, 403, 429,
                                           400, 409, 400, 501, 500, 503, 500, 401};
  const auto index = static_cast<uint64_t>(grpc_status);
  return index < std::size(kStatuses) ? kStatuses[index] : uint16_t{500};
}

}  // namespace pillion::http
