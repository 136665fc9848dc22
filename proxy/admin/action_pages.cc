// Pages that change something; POST only.

#include <algorithm>
#include <array>

#include "proxy/admin/pages.h"
#include "proxy/base/str.h"

namespace pillion::admin {
namespace {

constexpr std::array<std::string_view, 7> kLevels = {"trace", "debug",    "info", "warning",
                                                     "error", "critical", "off"};

// Envoy takes "warn" for "warning", too.
std::string_view level_of(std::string_view text) {
  if (text == "warn") return "warning";
  const auto found = std::find(kLevels.begin(), kLevels.end(), text);
  return found == kLevels.end() ? std::string_view() : *found;
}

struct LevelChange {
  std::string_view logger;  // empty: all
  std::string_view level;
};

// "a:debug,b:info"; false if that is not what it is.
bool parse_paths(std::string_view paths, std::vector<LevelChange>& out) {
  while (!paths.empty()) {
    const size_t end = std::min(paths.find(','), paths.size());
    const std::string_view pair = paths.substr(0, end);
    paths.remove_prefix(std::min(end + 1, paths.size()));
    const size_t colon = pair.find(':');
    if (colon == std::string_view::npos || colon == 0) return false;
    out.push_back({pair.substr(0, colon), pair.substr(colon + 1)});
  }
  return true;
}

// What the parameters of /logging ask for; empty parameters (of the form on "/") ask for nothing.
bool parse_changes(const Request& request, std::vector<LevelChange>& out) {
  for (const auto& [name, value] : request.params) {
    if (value.empty()) continue;
    if (name.empty()) return false;
    if (name == "level") {
      out.push_back({{}, value});
    } else if (name == "paths") {
      if (!parse_paths(value, out)) return false;
    } else {
      out.push_back({name, value});
    }
  }
  for (LevelChange& change : out) {
    change.level = level_of(change.level);
    if (change.level.empty()) return false;
  }
  return true;
}

std::string logger_list(const ServerView& view) {
  std::string out = "active loggers:\n";
  for (const auto& [name, level] : view.loggers()) out += str("  ", name, ": ", level, "\n");
  return out + "\n";
}

void change_logging(const PageContext& context, const Request& request, Response& response) {
  const auto loggers = context.view.loggers();
  const auto exists = [&loggers](std::string_view name) {
    return name.empty() || std::any_of(loggers.begin(), loggers.end(),
                                       [name](const auto& l) { return l.first == name; });
  };
  std::vector<LevelChange> changes;
  bool ok = parse_changes(request, changes);
  // All or nothing.
  ok = ok && std::all_of(changes.begin(), changes.end(),
                         [&](const LevelChange& c) { return exists(c.logger); });
  for (const LevelChange& change : changes) {
    if (ok) ok = context.actions.set_log_level(change.logger, change.level);
  }
  if (!ok) {
    response.fail(400,
                  "error: unknown logger name or level\n\n"
                  "usage: /logging?<name>=<level> (change single level)\n"
                  "usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n"
                  "usage: /logging?level=<level> (change all levels)\n"
                  "levels: trace debug info warning error critical off\n");
  }
  response.body += logger_list(context.view);
}

void drain(ServerActions& actions, const Request& request) {
  actions.drain_listeners(
      {request.has("inboundonly"), request.has("graceful"), request.has("skip_exit")});
}

void modify_runtime(ServerActions& actions, const Request& request, Response& response) {
  if (request.params.empty()) {
    return response.fail(400,
                         "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n"
                         "   or send the parameters as form values\n"
                         "use an empty value to remove a previously added override\n");
  }
  if (Status<> done = actions.modify_runtime(request.params); !done) {
    return response.fail(503, done.error() + '\n');
  }
  response.body = "OK\n";
}

}  // namespace

void add_action_pages(Router& router, const PageContext& context) {
  ServerActions& actions = context.actions;
  const auto add = [&router](std::string path, std::string help, auto act) {
    router.add(
        {std::move(path), std::move(help), {}, true, [act](const Request&, Response& response) {
           act();
           response.body = "OK\n";
         }});
  };
  add("/healthcheck/fail", "cause the server to fail health checks",
      [&actions] { actions.fail_health_check(true); });
  add("/healthcheck/ok", "cause the server to pass health checks",
      [&actions] { actions.fail_health_check(false); });
  add("/quitquitquit", "exit the server", [&actions] { actions.quit(); });
  add("/reopen_logs", "reopen access logs", [&actions] { actions.reopen_logs(); });
  router.add({"/drain_listeners",
              "drain listeners",
              {{"graceful", "Announce the close and wait the drain time before closing", {}, true},
               {"inboundonly", "Drain inbound listeners only (traffic_direction)", {}, true},
               {"skip_exit", "Drain connections but do not stop the listeners", {}, true}},
              true,
              [&actions](const Request& request, Response& response) {
                drain(actions, request);
                response.body = "OK\n";
              }});
  router.add({"/logging",
              "query/change logging levels",
              {{"level",
                "Change all loggers",
                {"", "trace", "debug", "info", "warning", "error", "critical", "off"}},
               {"paths", "Change some loggers: name1:level1,name2:level2"}},
              true,
              [context](const Request& request, Response& response) {
                change_logging(context, request, response);
              }});
  router.add({"/runtime_modify",
              "add or modify runtime values as passed in query parameters; an empty value removes",
              {},
              true,
              [&actions](const Request& request, Response& response) {
                modify_runtime(actions, request, response);
              }});
}

}  // namespace pillion::admin
