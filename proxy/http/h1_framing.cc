#include "proxy/http/h1_framing.h"

#include "proxy/base/str.h"

namespace pillion::http {
namespace {

// More names in Connection than anybody sends in good faith cost a search each.
constexpr uint8_t kMaxNominated = 32;

}  // namespace

// Only "chunked", once: any other coding, or chunked under another, cannot be forwarded safely.
FailureKind take_transfer_encoding(std::string_view value, H1Framing& framing) noexcept {
  if (framing.has_chunked || !equals_ignore_case(value, "chunked")) {
    return FailureKind::kBadTransferEncoding;
  }
  framing.has_chunked = true;
  return FailureKind::kNone;
}

FailureKind take_connection(const char* data, std::string_view field, H1Framing& framing) noexcept {
  std::string_view value = field;
  std::string_view option;
  bool nominates = false;
  while (next_list_member(value, option)) {
    if (equals_ignore_case(option, "close")) {
      framing.close = true;
    } else if (equals_ignore_case(option, "keep-alive")) {
      framing.keep_alive = true;
    } else if (equals_ignore_case(option, "upgrade")) {
      framing.wants_upgrade = true;
    } else {
      nominates = true;
      // What proxies in front of us say of the client is not the client's to take away.
      if (option.size() > 12 && equals_ignore_case(option.substr(0, 12), "x-forwarded-"))
        framing.hides_client = true;
      if (++framing.nominated > kMaxNominated) return FailureKind::kTooManyFields;
    }
  }
  if (!nominates) return FailureKind::kNone;
  if (framing.nominating_count == std::size(framing.nominating)) return FailureKind::kTooManyFields;
  framing.nominating[framing.nominating_count++] = {static_cast<uint32_t>(field.data() - data),
                                                    static_cast<uint32_t>(field.size())};
  return FailureKind::kNone;
}

// Host, lengths and the other fields a message stands on never got into `headers`.
void remove_nominated(const char* data, const H1Framing& framing, Headers& headers) noexcept {
  for (uint8_t i = 0; i < framing.nominating_count; ++i) {
    std::string_view list(data + framing.nominating[i].begin, framing.nominating[i].size);
    std::string_view name;
    while (next_list_member(list, name)) {
      for (Field* f = headers.mutable_begin(); f != headers.end(); ++f) {
        if (equals_ignore_case(f->name, name)) f->id = HeaderId::kRemoved;
      }
    }
  }
}

}  // namespace pillion::http
