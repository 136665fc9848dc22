#pragma once
// What a message will hold once it is parsed, told from its bytes: a field of two bytes may become
// a message of 300 in memory, so that the bytes alone bound nothing.  Internal to xds/.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace google::protobuf {
class Descriptor;
}

namespace pillion::xds {

// Parts that a message counts for (so 70,000 endpoints fit as Istio says them, 14 messages each);
// an item of a list of scalars or texts, and a field that the message does not have, count for one.
// Other scalars lie in their message.
inline constexpr size_t kPartsOfMessage = 2;

enum class Fit : uint8_t { kFits, kTooMuch, kNoMessage };

// Takes the parts of `bytes`, which are a message of that type, from `left`; an Any in it is one
// message, whatever it holds.  kNoMessage also for groups, which the API has none of.
Fit take_parts(std::string_view bytes, const google::protobuf::Descriptor& type, size_t& left);

}  // namespace pillion::xds
