#pragma once
// What an answer changes: judged first, as a whole; then done.  Nothing of an answer that is not
// legal has any effect.

#include "filters/authz/answer.h"
#include "filters/authz/config.h"
#include "proxy/http/message.h"

namespace pillion::filters::authz {

// All names, values and parameters can be part of a message, and the rules (may be null) do not
// make one of them an error.
bool is_legal(const Answer& answer, const MutationRules* rules);

// The request's headers and query; what the rules do not allow is left out.  True: it changed
// something.
bool apply_to_request(const Answer& answer, const MutationRules* rules, http::RequestHead& head,
                      Arena& arena);
// The response's, or those of a reply.  What is overwritten may have several values (Set-Cookie):
// they replace what was there, and not each other.
void apply_to_headers(const std::vector<HeaderChange>& changes, http::Headers& headers);

}  // namespace pillion::filters::authz
