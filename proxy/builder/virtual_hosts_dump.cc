#include "proxy/builder/virtual_hosts_dump.h"

#include <algorithm>
#include <utility>

#include "proxy/builder/virtual_hosts.h"
#include "proxy/config/node.h"

namespace pillion {
namespace {

using config::Value;

// All that the document is made of, as long as a page may ask for it.
struct Parts {
  struct Host {
    std::string name;  // of the resource
    std::shared_ptr<const CompiledVirtualHost> compiled;
  };
  std::string name;
  std::shared_ptr<const CompiledRoutes> routes;
  std::vector<Host> hosts;
};

// The fields of a message, less its type: it stands in a place of a known type.
template <typename Fn>
void for_each_field(const Value& message, Fn&& fn) {
  if (message.kind != config::Kind::kMapping) return;
  for (const Value* field = message.first_child; field != nullptr; field = field->next) {
    if (field->key->text != "@type") fn(*field);
  }
}

class HostsWriter {
 public:
  explicit HostsWriter(const Parts& parts) : parts_(parts), out_("rds/" + parts.name) {}

  std::shared_ptr<const config::Document> run() {
    const Value* table = open(parts_.routes->origin, parts_.name);
    if (table == nullptr) return nullptr;
    out_.begin_mapping();
    const Value* own_hosts = nullptr;
    for_each_field(*table, [&](const Value& field) {
      if (config::is_same_field(*field.key, "virtual_hosts")) {
        own_hosts = &field;
      } else {
        copy(field);
      }
    });
    out_.key("virtual_hosts").begin_sequence();
    if (own_hosts != nullptr && own_hosts->kind == config::Kind::kSequence) {
      for (const Value* host = own_hosts->first_child; host != nullptr; host = host->next)
        out_.copy(*host);
    }
    for (const Parts::Host& host : parts_.hosts) add(host);
    out_.end();
    out_.end();
    return out_.finish();
  }

 private:
  const Value* open(const Origin& origin, std::string_view name) {
    config::Errors ignored;  // it was read before
    OpenOrigin opened = open_origin(origin, name, ignored);
    if (opened.value != nullptr) out_.keep_alive(std::move(opened.document));
    return opened.value;
  }

  void copy(const Value& field) {
    out_.key(field.key->text, field.key_mark);
    out_.copy(field);
  }

  void add(const Parts::Host& host) {
    const route::RouteTable& table = *parts_.routes->table;
    const auto is_tables = [&table](const std::string& domain) { return table.has_domain(domain); };
    if (std::ranges::all_of(host.compiled->host->domains, is_tables)) return;
    const Value* value = open(host.compiled->origin, host.name);
    if (value == nullptr) return;
    out_.begin_mapping();
    for_each_field(*value, [&](const Value& field) {
      if (!config::is_same_field(*field.key, "domains")) return copy(field);
      out_.key("domains").begin_sequence();
      for (const std::string& domain : host.compiled->host->domains)
        if (!is_tables(domain)) out_.string(domain);
      out_.end();
    });
    out_.end();
  }

  const Parts& parts_;
  config::TreeBuilder out_;
};

}  // namespace

std::function<std::shared_ptr<const config::Document>()> document_with_hosts(
    const Resources& resources, const std::string& name) {
  const auto joined = resources.joined_routes.find(name);
  const auto routes = resources.routes.find(name);
  if (joined == resources.joined_routes.end() || joined->second->hosts.empty() ||
      routes == resources.routes.end() || routes->second.active == nullptr)
    return nullptr;
  auto parts = std::make_shared<Parts>(Parts{name, routes->second.active, {}});
  for_each_virtual_host(resources.virtual_hosts, name,
                        [&parts](const std::string& resource, const auto& host) {
                          parts->hosts.push_back({resource, host});
                        });
  return [parts] { return HostsWriter(*parts).run(); };
}

}  // namespace pillion
