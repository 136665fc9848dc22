#include "proxy/admin/pages.h"

#include <ctime>

#include "proxy/base/str.h"

namespace pillion::admin {

void add_pages(Router& router, const PageContext& context) {
  add_stats_pages(router, context);
  add_cluster_pages(router, context);
  add_config_pages(router, context);
  add_wait_pages(router, context);
  add_server_pages(router, context);
  add_action_pages(router, context);
  router.add({"/help",
              "print out list of admin commands",
              {},
              false,
              [&router](const Request&, Response& response) { response.body = router.help(); }});
  router.add({"/",
              "Admin home page",
              {},
              false,
              [&router, &view = context.view](const Request&, Response& response) {
                response.content_type = kHtml;
                response.body = index_html(router, view.version());
              }});
}

bool filter_param(const PageContext& context, const Request& request, std::string_view name,
                  std::shared_ptr<const stats::NameFilter>& out, Response& response) {
  const auto pattern = request.param(name);
  if (!pattern || pattern->empty()) return true;
  std::string error;
  out = context.compile_filter(*pattern, error);
  if (out != nullptr) return true;
  response.fail(400, str("Invalid re2 regex: ", error, "\n"));
  return false;
}

std::string utc_text(WallTime time) {
  const int64_t millis = to_millis(time.time_since_epoch());
  const std::time_t seconds = millis / 1000 - (millis % 1000 < 0 ? 1 : 0);
  const int64_t rest = millis - static_cast<int64_t>(seconds) * 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  const char fraction[] = {'.',
                           static_cast<char>('0' + rest / 100),
                           static_cast<char>('0' + rest / 10 % 10),
                           static_cast<char>('0' + rest % 10),
                           'Z',
                           0};
  return str(text, fraction);
}

void write_address(JsonWriter& json, const io::Address& address) {
  if (address.is_ip()) {
    json.key("socket_address").begin_object().field("address", address.ip_string());
    json.field("port_value", address.port()).end_object();
  } else {
    json.key("pipe").begin_object().field("path", address.path()).end_object();
  }
}

}  // namespace pillion::admin
