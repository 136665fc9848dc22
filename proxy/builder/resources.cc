#include "proxy/builder/resources.h"

#include "xds/resource_document.h"

namespace pillion {

OpenOrigin open_origin(const Origin& origin, std::string_view name, config::Errors& errors) {
  xds::Resource resource;
  resource.name = name;
  resource.bytes = origin.message.unpack(name);
  resource.document = origin.document;
  resource.value = origin.value;
  const xds::ResourceDocument read = xds::document_of(origin.type, resource, errors);
  if (read.document == nullptr || !errors.ok()) return {};
  return {read.document, read.value};
}

}  // namespace pillion
