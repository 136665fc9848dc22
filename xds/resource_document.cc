#include "xds/resource_document.h"

#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "xds/reflect.h"

namespace pillion::xds {

ResourceDocument document_of(ResourceType type, const Resource& resource, config::Errors& errors) {
  if (resource.document != nullptr) {
    errors.refuse_unknown_names();
    config::Node(resource.value, &errors).ignore({"@type"});  // looked at when it was read
    return {resource.document, resource.value};
  }
  ResourceDocument out;
  out.document = reflect(message_of(type), resource.bytes,
                         str(short_name(type), '/', config::printable(resource.name)), errors);
  if (out.document != nullptr) out.value = &out.document->root_value();
  return out;
}

}  // namespace pillion::xds
