#include "filters/authz/http_check.h"

#include <algorithm>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/http/field_rules.h"

namespace pillion::filters::authz {
namespace {

constexpr std::string_view kRemove = "x-envoy-auth-headers-to-remove";

// Of the request to the service the codec says what its body is.
bool is_framing(std::string_view name) {
  return name == "content-length" || name == "expect" || name == "te";
}

bool goes_to_client(std::string_view name, const Service& service) {
  if (service.all_to_client) return true;
  return name == "www-authenticate" || name == "location" || service.client.has(name);
}

core::MetadataMember* add_member(core::MetadataValue& to, core::MetadataMember* last,
                                 const http::Field& field, Arena& arena) {
  auto* const member = arena.create<core::MetadataMember>();
  member->key = arena.copy(field.name);
  member->value = core::MetadataValue::of(arena.copy(field.value));
  to.kind = core::MetadataValue::Kind::kStruct;
  (last == nullptr ? to.first : last->next) = member;
  return member;
}

void take_allowed(Answer& out, const http::Field& field, const Service& service, Arena& arena) {
  const HeaderChange change{arena.copy(field.name), arena.copy(field.value),
                            HeaderAction::kOverwriteOrAdd};
  if (service.upstream_set.has(field.name)) out.request_headers.push_back(change);
  if (service.upstream_append.has(field.name)) {
    out.request_headers.push_back(change);
    out.request_headers.back().action = HeaderAction::kAppend;
  }
  if (service.client_on_success.has(field.name)) out.response_headers.push_back(change);
}

}  // namespace

HttpQuestion make_http_question(const Question& question, const Service& service) {
  const http::RequestHead& head = question.context.request();
  HttpQuestion out;
  out.path = str(service.path_prefix, head.path.empty() ? "/" : head.path);
  out.authority = head.authority;
  const auto is_added = [&](std::string_view name) {
    return std::ranges::find(service.headers, name, [](const auto& h) {
             return std::string_view(h.first);
           }) != service.headers.end();
  };
  for_each_told(question, [&](std::string_view name, std::string_view value) {
    const bool is_asked =
        name == "authorization" || name == kPartialBody || service.allowed_request.has(name) ||
        (question.config.allowed_headers && question.config.allowed_headers->has(name));
    if (is_asked && !name.starts_with(':') && !is_framing(name) && !is_added(name))
      out.fields.push_back({name, value});
  });
  for (const auto& [name, value] : service.headers) out.fields.push_back({name, value});
  return out;
}

Answer read_http_answer(const http::ResponseHead& head, std::string_view body,
                        const Service& service, Arena& arena) {
  Answer out;
  if (head.status >= 500) return out;
  const bool is_ok = head.status == 200;
  out.verdict = is_ok ? Answer::Verdict::kOk : Answer::Verdict::kDenied;
  core::MetadataMember* last = nullptr;
  head.headers.for_each([&](const http::Field& field) {
    if (out.request_headers.size() + out.reply_headers.size() >= kMaxChanges) {
      out.is_invalid = true;
      return;
    }
    if (field.name == kRemove) {
      std::string_view list = field.value;
      std::string_view name;
      while (is_ok && http::next_list_member(list, name)) {
        if (!name.empty()) out.removed.push_back(arena.copy(lowered(name)));
      }
      return;
    }
    if (service.metadata.has(field.name)) last = add_member(out.metadata, last, field, arena);
    if (is_ok) return take_allowed(out, field, service, arena);
    if (goes_to_client(field.name, service)) {
      out.reply_headers.push_back(
          {arena.copy(field.name), arena.copy(field.value), HeaderAction::kOverwriteOrAdd});
    }
  });
  if (is_ok) return out;
  out.status = head.status;
  out.body = arena.copy(body);
  return out;
}

}  // namespace pillion::filters::authz
