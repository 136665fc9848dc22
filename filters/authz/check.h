#pragma once
// The messages of envoy.service.auth.v3.Authorization/Check: what is asked about a request, and how
// an answer is read.

#include <map>
#include <string>
#include <string_view>

#include "filters/authz/answer.h"
#include "filters/authz/config.h"
#include "proxy/core/http_filter.h"

namespace pillion::filters::authz {

inline constexpr std::string_view kCheckPath = "/envoy.service.auth.v3.Authorization/Check";
// What a request is told to have been through; a client's own are nothing.
inline constexpr std::string_view kPartialBody = "x-envoy-auth-partial-body";
inline constexpr std::string_view kFailureModeAllowed = "x-envoy-auth-failure-mode-allowed";
// Of one answer, and what it may have together of changes.
inline constexpr size_t kMaxAnswer = size_t{1} << 20;
inline constexpr size_t kMaxChanges = 256;

// What is asked about.
struct Question {
  const Config& config;
  const core::FilterContext& context;
  const std::map<std::string, std::string>& extensions;
  const NameList* allowed = nullptr;  // headers that are told; null: all
  bool has_body = false;
  bool is_partial = false;  // there is more of the body
  bool pack_as_bytes = false;
  std::string_view body;
};

// A CheckRequest.
std::string encode_check(const Question& question);
// A CheckResponse; what is broken is an error.  Texts are copied to the arena.
Answer decode_check(std::string_view message, Arena& arena);

// Each header that is told of a request, with its pseudo-headers, as fn(name, value).
template <typename Fn>
void for_each_told(const Question& question, Fn&& fn) {
  const http::RequestHead& head = question.context.request();
  const auto tell = [&](std::string_view name, std::string_view value) {
    if (question.allowed != nullptr && !question.allowed->has(name)) return;
    if (question.config.disallowed_headers.has(name)) return;
    fn(name, value);
  };
  tell(":method", head.method_text);
  if (!head.path.empty()) tell(":path", head.path);
  tell(":authority", head.authority);
  if (!head.scheme.empty()) tell(":scheme", head.scheme);
  head.headers.for_each([&](const http::Field& field) { tell(field.name, field.value); });
  if (question.has_body) fn(kPartialBody, question.is_partial ? "true" : "false");
}

}  // namespace pillion::filters::authz
