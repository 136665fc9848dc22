#pragma once
// The same question and answer over plain HTTP: the request itself, without its body, or with some
// of it, is sent to the service; 200 means yes, 5xx an error, and all else is the reply to the
// client.

#include <string>
#include <vector>

#include "filters/authz/answer.h"
#include "filters/authz/check.h"
#include "proxy/core/side_call.h"
#include "proxy/http/message.h"

namespace pillion::filters::authz {

// What the call's head needs to live on until it is opened.
struct HttpQuestion {
  std::string path;
  std::string_view authority;
  std::vector<core::SideCallField> fields;
};
HttpQuestion make_http_question(const Question& question, const Service& service);

// `head` and `body` of the service's response; texts are copied to the arena.
Answer read_http_answer(const http::ResponseHead& head, std::string_view body,
                        const Service& service, Arena& arena);

}  // namespace pillion::filters::authz
