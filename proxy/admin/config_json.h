#pragma once
// A configuration as JSON, without its secrets.

#include "proxy/base/json_writer.h"
#include "proxy/config/document.h"

namespace pillion::admin {

// What stands in place of a secret.
inline constexpr std::string_view kRedacted = "[redacted]";

// Writes `value` with everything below it.  Under a field that holds a secret (private keys,
// passwords, tokens, session ticket keys, HMAC secrets: what Envoy's API marks as sensitive) all
// texts are replaced, but for names of files and environment variables, which are no secret and are
// what one looks for.
void write_redacted(JsonWriter& json, const config::Value& value);
// Would it replace anything?
bool holds_secret(const config::Value& value);
// The fields of a mapping alone, into an object that is open.
void write_redacted_fields(JsonWriter& json, const config::Value& mapping);

}  // namespace pillion::admin
