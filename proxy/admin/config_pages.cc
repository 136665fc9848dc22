// /config_dump: what is really in force, resource by resource, in Envoy's ConfigDump; /csds: what
// became of everything that a control plane was asked for.

#include "proxy/admin/config_dump.h"
#include "proxy/admin/pages.h"
#include "proxy/base/str.h"

namespace pillion::admin {
namespace {

std::optional<std::string_view> non_empty(const Request& request, std::string_view name) {
  const auto value = request.param(name);
  return value && !value->empty() ? value : std::nullopt;
}

// Names of fields that nothing reads and that were ignored, with how often they were said.
void show_unsupported(const ServerView& view, Response& response) {
  response.content_type = kJson;
  JsonWriter json(response.body);
  json.begin_object().key("unsupported").begin_array();
  for (const auto& [name, field] : view.unknown_fields()) {
    json.begin_object().field("field", name).field("count", field.count);
    json.field("example", field.example).end_object();
  }
  json.end_array().end_object();
}

// The entries of one list.
void show_list(const PageContext& context, std::string_view wanted, DumpOptions options,
               Response& response) {
  for (const DumpSection& section : dump_sections()) {
    if (section.only_with_eds && !options.with_eds) continue;
    const bool is_single = section.lists.empty() && wanted == section.field;
    if (is_single || (section.has_version && wanted == "version_info")) {
      return response.fail(400, str(wanted, " is not a repeated field. Use ?mask=", wanted,
                                    " to get only this field\n"));
    }
    for (const DumpList& list : section.lists) {
      if (wanted != list.name) continue;
      if (options.mask) {
        for (const std::string& path : options.mask->paths()) {
          if (is_path_of(section, list, path, context.has_field)) continue;
          return response.fail(400, str("FieldMask ", path, " could not be successfully used.\n"));
        }
      }
      response.content_type = kJson;
      response.stream = make_list_dump(context.view, section, list, std::move(options));
      return;
    }
  }
  response.fail(404, str(wanted, " not found in config dump\n"));
}

void show_config(const PageContext& context, const Request& request, Response& response) {
  if (request.has("unsupported")) return show_unsupported(context.view, response);
  DumpOptions options;
  if (!filter_param(context, request, "name_regex", options.filter, response)) return;
  if (const auto mask = non_empty(request, "mask")) options.mask.emplace(*mask);
  options.with_eds = request.has("include_eds");
  if (const auto wanted = non_empty(request, "resource"))
    return show_list(context, *wanted, std::move(options), response);
  if (options.mask) {
    bool fits_any = false;
    for (const DumpSection& section : dump_sections())
      fits_any |= fits(*options.mask, section, context.has_field) &&
                  (options.with_eds || !section.only_with_eds);
    if (!fits_any) {
      return response.fail(400, str("FieldMask ", *request.param("mask"),
                                    " could not be successfully applied to any configs.\n"));
    }
  }
  response.content_type = kJson;
  response.stream = make_config_dump(context.view, std::move(options), context.has_field);
}

void show_client_status(const PageContext& context, const Request& request, Response& response) {
  DumpOptions options;
  if (!filter_param(context, request, "name_regex", options.filter, response)) return;
  options.with_contents = !request.has("exclude_resource_contents");
  response.content_type = kJson;
  response.stream = make_client_status(context.view, std::move(options));
}

}  // namespace

void add_config_pages(Router& router, const PageContext& context) {
  const Param filter{"name_regex", "Dump only resources whose names match the regular expression"};
  router.add({"/config_dump",
              "dump current configuration, without secrets",
              {{"resource", "The list to dump, such as static_clusters"},
               {"mask", "The fields to dump, such as bootstrap.node; with resource: of an entry"},
               filter,
               {"include_eds", "Dump endpoints too", {}, true},
               {"unsupported", "Only the names of fields that were ignored", {}, true}},
              false,
              [context](const Request& request, Response& response) {
                show_config(context, request, response);
              }});
  router.add({"/csds",
              "what became of what a control plane was asked for (client status)",
              {filter, {"exclude_resource_contents", "Names, versions and errors alone", {}, true}},
              false,
              [context](const Request& request, Response& response) {
                show_client_status(context, request, response);
              }});
}

}  // namespace pillion::admin
