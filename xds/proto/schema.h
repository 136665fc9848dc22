#pragma once
// Schema: the messages of the .proto files in this folder, looked up by name at run time.
//
// The files declare every field of each message that Pillion reads, with the names and numbers of
// the public xDS API (envoyproxy/data-plane-api, as of August 2026), and nothing else; messages
// that no parser reads are pillion.Refused.  They are compiled into a descriptor set that lies in
// the binary and is built into descriptors file by file, when a message is first asked for: a
// process without a control plane never touches it.  There is no generated code: it would be 20
// times as large, and all that is done with a message is to walk it (xds/reflect.h).
//
// Fields that no parser serves bear a mark, and so do messages of which no field may be skipped
// (marks.proto): the files say what Pillion does with each part of the API.
//
// Any thread.

#include <cstdint>
#include <memory>
#include <string_view>

namespace google::protobuf {
class Descriptor;
class FieldDescriptor;
class Message;
}  // namespace google::protobuf

namespace pillion::xds {

// A new, empty message; null if no file here has it.  `type` is its full name
// ("envoy.config.cluster.v3.Cluster").
std::unique_ptr<google::protobuf::Message> make_message(std::string_view type);

// Is there a message of that name?  Costs no descriptor.
bool has_message(std::string_view type);

// The descriptor of a message here; null if there is none.  It lives as long as the process.
const google::protobuf::Descriptor* find_message(std::string_view type);

// pillion.Mark
enum class Mark : uint8_t { kServed, kIgnore, kRefuse };
Mark mark_of(const google::protobuf::FieldDescriptor& field);
// Is a field that the message does not have here, but in a newer API, an error?
bool refuses_unknown_fields(const google::protobuf::Descriptor& message);

}  // namespace pillion::xds
