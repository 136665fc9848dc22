#pragma once
// All admin pages of the proxy itself.  Features may add further ones to the Router.
//
//   Router router;
//   add_pages(router, {view, actions, registry, options, compile_filter});

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/admin/page.h"
#include "proxy/admin/server_view.h"
#include "proxy/stats/exposition.h"
#include "proxy/stats/registry.h"

namespace pillion::admin {

// A regex of the user (RE2, matched anywhere in the name); null and a reason if it is none.
using CompileFilter = std::function<std::shared_ptr<const stats::NameFilter>(
    std::string_view pattern, std::string& error)>;

// Does a message of that type have a field there ("a.b"), not within a list?
using HasField = std::function<bool(std::string_view message, std::string_view path)>;

// Where pages take what they show; all of it outlives the Router.
struct PageContext {
  ServerView& view;
  ServerActions& actions;
  stats::Registry& registry;
  // stats_config: matcher and fixed tags.
  stats::ExpositionOptions stats_options;
  CompileFilter compile_filter;
  HasField has_field{};  // null: every field is taken for one
};

// Adds every page below, and "/" and "/help".
void add_pages(Router& router, const PageContext& context);

// By file: /stats /stats/prometheus /reset_counters
void add_stats_pages(Router& router, const PageContext& context);
// /clusters
void add_cluster_pages(Router& router, const PageContext& context);
// /config_dump /csds
void add_config_pages(Router& router, const PageContext& context);
// /init_dump
void add_wait_pages(Router& router, const PageContext& context);
// /ready /server_info /listeners /certs /memory /runtime /hot_restart_version
void add_server_pages(Router& router, const PageContext& context);
// /logging /drain_listeners /healthcheck/* /quitquitquit /reopen_logs /runtime_modify
void add_action_pages(Router& router, const PageContext& context);

// Shared by pages.
// The `filter`-like parameter `name` compiled; null if it is not given.  False: the reply says why.
bool filter_param(const PageContext& context, const Request& request, std::string_view name,
                  std::shared_ptr<const stats::NameFilter>& out, Response& response);
// "2026-11-24T14:47:46.957Z"
std::string utc_text(WallTime time);
// {"socket_address": {...}} or {"pipe": {...}}, as the fields of an open object.
void write_address(JsonWriter& json, const io::Address& address);

}  // namespace pillion::admin
