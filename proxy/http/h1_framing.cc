#include "proxy/http/h1_framing.h"

#include "proxy/base/str.h"

namespace pillion::http {
namespace {

// 1*DIGIT without sign or space; false on overflow (RFC 9110, 8.6).
bool parse_length(std::string_view text, uint64_t& out) noexcept {
  if (text.empty() || text.size() > 18) return false;
  uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  out = value;
  return true;
}

// More names in Connection than anybody sends in good faith cost a search each.
constexpr uint8_t kMaxNominated = 32;

}  // namespace

bool next_list_member(std::string_view& list, std::string_view& member) noexcept {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    member = trim(list.substr(0, comma));
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    if (!member.empty()) return true;
  }
  return false;
}

// "5, 5" is one length said twice by a careless sender; RFC 9110, 8.6 allows to refuse it.
FailureKind take_length(std::string_view value, H1Framing& framing) noexcept {
  if (framing.has_length) return FailureKind::kBadContentLength;
  if (!parse_length(value, framing.content_length)) return FailureKind::kBadContentLength;
  framing.has_length = true;
  return FailureKind::kNone;
}

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
