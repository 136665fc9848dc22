#pragma once
// A resource as the tree that parsers read, wherever it came from.

#include <memory>

#include "proxy/config/document.h"
#include "proxy/config/errors.h"
#include "proxy/config/node.h"
#include "xds/discovery_message.h"

namespace pillion::xds {

struct ResourceDocument {
  std::shared_ptr<const config::Document> document;  // keeps `value` alive; null: see `errors`
  const config::Value* value = nullptr;

  [[nodiscard]] config::Node node(config::Errors& errors) const { return {value, &errors}; }
};

// Of a protobuf message its reflection, whose place is "cds/NAME"; of a file what was read of it,
// whose places are lines.  Only to be used if `errors` got no error.
ResourceDocument document_of(ResourceType type, const Resource& resource, config::Errors& errors);

}  // namespace pillion::xds
