#pragma once
// FieldPolicy: what becomes of the fields of a message that no parser will read.
//
// Fields marked `ignore` are left out and counted by name.  So is what a message has in a newer API
// than ours, unless the message must not lose any (matchers, TLS: skipping a condition widens a
// match); then it is an error.  Where all that is unknown is to be an error, nothing is left out,
// and the parsers refuse it as in a file.  Internal to xds/; lives with one walk through a message.

#include <string>
#include <string_view>

#include "proxy/config/document.h"
#include "proxy/config/errors.h"

namespace google::protobuf {
class Descriptor;
class FieldDescriptor;
class Message;
}  // namespace google::protobuf

namespace pillion::xds {

class FieldPolicy {
 public:
  // Both outlive the object; places are those of the container that is open in `out`.
  FieldPolicy(const config::TreeBuilder& out, config::Errors& errors)
      : out_(out), errors_(errors) {}

  // Shall this field, which is present, be left out?  It is counted then.
  bool leaves_out(const google::protobuf::FieldDescriptor& field);
  // Fields of a newer API, which have no name.
  void tell_unknown(const google::protobuf::Message& message);
  // A name that the message does not have.
  void tell_unknown(const google::protobuf::Descriptor& message, std::string_view name);
  // A field that is there already, under another of its names.
  void tell_twice(const google::protobuf::FieldDescriptor& field, std::string_view name);

 private:
  [[nodiscard]] config::Where place_of(std::string_view field) const;
  void unknown(const google::protobuf::Descriptor& message, std::string_view name,
               config::Where where);

  const config::TreeBuilder& out_;
  config::Errors& errors_;
};

}  // namespace pillion::xds
