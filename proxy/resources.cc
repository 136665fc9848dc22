#include "proxy/resources.h"

#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "xds/reflect.h"

namespace pillion {

OpenOrigin open_origin(const Origin& origin, std::string_view name, config::Errors& errors) {
  if (origin.document != nullptr) return {origin.document, origin.value};
  const config::DocumentPtr document =
      xds::reflect(xds::message_of(origin.type), origin.message,
                   str(xds::short_name(origin.type), '/', config::printable(name)), errors);
  if (document == nullptr || !errors.ok()) return {};
  return {document, &document->root_value()};
}

}  // namespace pillion
