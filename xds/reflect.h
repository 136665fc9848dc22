#pragma once
// A protobuf message -> the config::Document that the same message would be as text in a file, so
// that each feature has one parser for files and xDS.
//
// The rules are those of proto3's JSON mapping, which the parsers read: names as in the .proto
// file, enums by name, durations as "1.5s", wrappers as their value, bytes as base64, Struct as it
// is, Any as a mapping with @type.  Fields at their default are absent, as protobuf cannot tell
// them apart. Values have no line; their place is the resource ("lds/inbound") and their path.
//
// Fields marked `ignore` in xds/proto are left out and counted, and so are those of a newer API,
// under the message's name and their number; in messages on which security depends the latter are
// errors (field_policy.h).  A TypedStruct whose message we have is written as that message would
// be.
//
// Errors: a type that xds/proto does not have (by name, with its place), bytes that are no such
// message, more than kMaxValues values (told before the bytes are parsed, message_size.h, and again
// by what is written) or kMaxNesting levels.  Of filters that are optional, or on
// the list of those that may be left out (config/skipped_types.h), an unknown type is no error:
// only its @type is there.
//
// Any thread.

#include <cstddef>
#include <string>
#include <string_view>

#include "proxy/base/result.h"
#include "proxy/config/loader.h"

namespace pillion::xds {

inline constexpr size_t kMaxValues = 2'000'000;
inline constexpr size_t kMaxNesting = 200;
// Each holds a copy of all that is in it.  Listener, filter, its route's filter, a matcher: four.
inline constexpr size_t kMaxAnyNesting = 16;

// `type`: full name of the message that `bytes` are; `source`: its place in messages.  Null if they
// are no such message; else a document, to be used only if `errors` got no error.
config::DocumentPtr reflect(std::string_view type, std::string_view bytes, std::string source,
                            config::Errors& errors);

// The other way, from JSON: the bytes of a message of that type, or what is wrong with the text.
// Fields that the message does not have are skipped.
Result<std::string> encode(std::string_view type, std::string_view json);

}  // namespace pillion::xds
