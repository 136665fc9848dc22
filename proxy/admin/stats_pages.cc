// /stats, /stats/prometheus and /reset_counters.

#include "proxy/admin/pages.h"

namespace pillion::admin {
namespace {

using stats::ExpositionOptions;

// Reads usedonly, filter and type; false: the reply says what is wrong.
bool read_options(const PageContext& context, const Request& request, ExpositionOptions& options,
                  Response& response) {
  options = context.stats_options;
  options.used_only = request.has("usedonly");
  if (!filter_param(context, request, "filter", options.filter, response)) return false;
  const std::string_view type = request.param("type").value_or("All");
  if (type == "Counters") {
    options.type = ExpositionOptions::Type::kCounters;
  } else if (type == "Gauges") {
    options.type = ExpositionOptions::Type::kGauges;
  } else if (type == "Histograms") {
    options.type = ExpositionOptions::Type::kHistograms;
  } else if (type == "TextReadouts") {
    options.type = ExpositionOptions::Type::kTexts;
  } else if (type != "All") {
    response.fail(400,
                  "invalid &type= param; one of All, Counters, Gauges, Histograms, TextReadouts\n");
    return false;
  }
  return true;
}

void show_prometheus(const PageContext& context, const Request& request, Response& response) {
  if (request.param("histogram_buckets").value_or("cumulative") != "cumulative") {
    return response.fail(400, "usage: /stats/prometheus?histogram_buckets=cumulative\n");
  }
  ExpositionOptions options;
  if (!read_options(context, request, options, response)) return;
  response.content_type = stats::kPrometheusContentType;
  response.stream = stats::make_prometheus(context.registry, std::move(options));
}

void show_stats(const PageContext& context, const Request& request, Response& response) {
  const std::string_view format = request.param("format").value_or("text");
  if (format == "prometheus") return show_prometheus(context, request, response);
  if (format != "text" && format != "json") {
    return response.fail(400, "usage: /stats?format=(text|json|prometheus)\n");
  }
  if (request.param("histogram_buckets").value_or("summary") != "summary") {
    return response.fail(400, "usage: /stats?histogram_buckets=summary\n");
  }
  ExpositionOptions options;
  if (!read_options(context, request, options, response)) return;
  options.texts = context.view.text_readouts();
  const bool is_json = format == "json";
  response.content_type = is_json ? kJson : kText;
  response.stream =
      stats::make_stats_text(context.registry, std::move(options),
                             is_json ? stats::StatsFormat::kJson : stats::StatsFormat::kText);
}

}  // namespace

void add_stats_pages(Router& router, const PageContext& context) {
  const Param used{"usedonly", "Only include stats that have been written", {}, true};
  const Param filter{"filter", "Regular expression (Google re2) for filtering stats"};
  const Param type{
      "type", "Stat types to include", {"All", "Counters", "Gauges", "Histograms", "TextReadouts"}};
  router.add({"/stats",
              "print server stats",
              {used, filter, {"format", "Format to use", {"text", "json", "prometheus"}}, type},
              false,
              [context](const Request& request, Response& response) {
                show_stats(context, request, response);
              }});
  router.add({"/stats/prometheus",
              "print server stats in prometheus format",
              {used, filter, type},
              false,
              [context](const Request& request, Response& response) {
                show_prometheus(context, request, response);
              }});
  router.add({"/reset_counters",
              "reset all counters to zero",
              {},
              true,
              [context](const Request&, Response& response) {
                context.registry.reset_counters();
                response.body = "OK\n";
              }});
}

}  // namespace pillion::admin
