#include "xds/field_path.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>

#include "xds/proto/schema.h"

namespace pillion::xds {

bool has_field(std::string_view type, std::string_view path) {
  const auto message = make_message(type);
  if (message == nullptr) return true;
  const google::protobuf::Descriptor* at = message->GetDescriptor();
  while (true) {
    if (at->full_name() == "pillion.Refused") return true;
    const size_t dot = path.find('.');
    const auto* field = at->FindFieldByName(std::string(path.substr(0, dot)));
    if (field == nullptr) return false;
    if (dot == std::string_view::npos) return true;
    if (field->is_repeated() || field->message_type() == nullptr) return false;
    at = field->message_type();
    path.remove_prefix(dot + 1);
  }
}

}  // namespace pillion::xds
