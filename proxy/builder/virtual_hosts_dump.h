#pragma once
// A route table as admin pages show it: with its virtual hosts by VHDS, as in Envoy.

#include <functional>
#include <memory>
#include <string>

#include "proxy/builder/resources.h"
#include "proxy/config/document.h"

namespace pillion {

// Makes the document of the table in force, less what counts for nothing in it: domains of virtual
// hosts that the table has itself.  Null: it has no such hosts.  Of use after `resources` is gone.
std::function<std::shared_ptr<const config::Document>()> document_with_hosts(
    const Resources& resources, const std::string& name);

}  // namespace pillion
