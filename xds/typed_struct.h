#pragma once
// What is inside a TypedStruct (udpa.type.v1, xds.type.v3), the JSON form of a message: written as
// the message would be that it names, by the rules of proto3's JSON mapping.  So that fields which
// are ignored or unknown are so here too.  Internal to xds/.

#include <functional>
#include <string_view>

#include "proxy/config/document.h"
#include "xds/field_policy.h"

namespace pillion::xds {

class TypedStruct {
 public:
  // All outlive the object.  `write_value` writes a google.protobuf.Value as it is; `is_too_much`:
  // shall nothing more be written?
  using WriteValue = std::function<void(const google::protobuf::Message&)>;
  TypedStruct(config::TreeBuilder& out, FieldPolicy& policy, WriteValue write_value,
              std::function<bool()> is_too_much)
      : out_(out),
        policy_(policy),
        write_value_(std::move(write_value)),
        is_too_much_(std::move(is_too_much)) {}

  // The fields of `content` (a google.protobuf.Struct), which is a message of type `type`, into the
  // mapping that is open.
  void write(const google::protobuf::Message& content, const google::protobuf::Descriptor& type);

  // The message whose fields such a Struct has; null if it has none here, or a form of its own.
  static const google::protobuf::Descriptor* message_named(std::string_view type_url);

 private:
  void field(const google::protobuf::Message& value,
             const google::protobuf::FieldDescriptor& field);
  void single(const google::protobuf::Message& value,
              const google::protobuf::FieldDescriptor& field);

  config::TreeBuilder& out_;
  FieldPolicy& policy_;
  WriteValue write_value_;
  std::function<bool()> is_too_much_;
};

}  // namespace pillion::xds
