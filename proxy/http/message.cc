#include "proxy/http/message.h"

namespace pillion::http {
namespace {

void rebase_view(std::string_view& view, const char* from, size_t size, const char* to) noexcept {
  // A path may be a literal ("/" of an absolute target without one).
  const auto offset = reinterpret_cast<uintptr_t>(view.data()) - reinterpret_cast<uintptr_t>(from);
  if (offset < size) view = {to + offset, view.size()};
}

}  // namespace

std::string_view protocol_name(Protocol protocol) noexcept {
  switch (protocol) {
    case Protocol::kHttp10:
      return "HTTP/1.0";
    case Protocol::kHttp11:
      return "HTTP/1.1";
    case Protocol::kHttp2:
      return "HTTP/2";
  }
  return "HTTP/1.1";
}

Method find_method(std::string_view m) noexcept {
  switch (m.size()) {
    case 3:
      if (m == "GET") return Method::kGet;
      if (m == "PUT") return Method::kPut;
      break;
    case 4:
      if (m == "POST") return Method::kPost;
      if (m == "HEAD") return Method::kHead;
      break;
    case 5:
      if (m == "PATCH") return Method::kPatch;
      if (m == "TRACE") return Method::kTrace;
      break;
    case 6:
      if (m == "DELETE") return Method::kDelete;
      break;
    case 7:
      if (m == "OPTIONS") return Method::kOptions;
      if (m == "CONNECT") return Method::kConnect;
      break;
    default:
      break;
  }
  return Method::kOther;
}

void rebase_head(RequestHead& head, const char* from, size_t size, const char* to) noexcept {
  head.headers.rebase(from, to);
  for (std::string_view* v : {&head.method_text, &head.path, &head.authority, &head.upgrade})
    rebase_view(*v, from, size, to);
}

void rebase_head(ResponseHead& head, const char* from, size_t size, const char* to) noexcept {
  head.headers.rebase(from, to);
  rebase_view(head.reason, from, size, to);
  rebase_view(head.upgrade, from, size, to);
}

}  // namespace pillion::http
