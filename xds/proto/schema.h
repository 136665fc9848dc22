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
// Any thread.

#include <memory>
#include <string_view>

namespace google::protobuf {
class Message;
}

namespace pillion::xds {

// A new, empty message; null if no file here has it.  `type` is its full name
// ("envoy.config.cluster.v3.Cluster").
std::unique_ptr<google::protobuf::Message> make_message(std::string_view type);

// Is there a message of that name?  Costs no descriptor.
bool has_message(std::string_view type);

}  // namespace pillion::xds
