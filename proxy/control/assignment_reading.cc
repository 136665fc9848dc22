#include "proxy/control/assignment_reading.h"

#include <utility>

#include "proxy/config/node.h"
#include "proxy/upstream/parse.h"
#include "proxy/upstream/read_assignment.h"

namespace pillion {

std::optional<AssignmentRead> AssignmentReading::plain(const xds::Resource& resource,
                                                       const upstream::HostSetPtr& previous) const {
  upstream::PlainAssignment read;
  if (resource.document != nullptr || !upstream::read_assignment(resource.bytes, read))
    return std::nullopt;
  // What is left out is told by the other way, the first time.
  const bool are_counted = unknown_fields == config::UnknownFields::kCount ||
                           unknown_fields == config::UnknownFields::kCountAnyName;
  if (!read.left_out.empty() && !are_counted) return std::nullopt;
  AssignmentRead out;
  for (const std::string& name : read.left_out) {
    const auto known = told.find(name);
    if (known == told.end()) return std::nullopt;
    out.unknown_fields.emplace(name, config::UnknownField{1, known->second});
  }
  out.hosts = upstream::make_host_set(read.endpoints, previous);
  return out;
}

AssignmentRead AssignmentReading::by_document(const xds::Resource& resource,
                                              const upstream::HostSetPtr& previous) const {
  AssignmentRead out;
  config::Errors errors(unknown_fields);
  const xds::ResourceDocument read =
      xds::document_of(xds::ResourceType::kEndpoints, resource, errors);
  upstream::Endpoints endpoints;
  if (errors.ok()) endpoints = upstream::parse_assignment(read.node(errors));
  out.warnings = errors.to_string(config::Severity::kWarning);
  if (!errors.ok()) {
    out.wrong = errors.to_string();
    return out;
  }
  out.unknown_fields = errors.unknown_fields();
  if (resource.document != nullptr) out.file = read;
  out.hosts = upstream::make_host_set(endpoints, previous);
  return out;
}

}  // namespace pillion
