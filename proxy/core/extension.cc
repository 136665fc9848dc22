#include "proxy/core/extension.h"

#include <algorithm>
#include <utility>

#include "proxy/base/response_flags.h"
#include "proxy/core/http_filter_chain.h"
#include "proxy/core/listener_config.h"
#include "proxy/core/listener_routes.h"

namespace pillion::core {
namespace {

constexpr Failure kMissing{FailureKind::kNoFilterConfig};

class MissingFactory;

// It may stand for a guard: nothing passes it, not by way of another route either.
class MissingFilter final : public HttpFilter {
 public:
  MissingFilter(const MissingFactory&, FilterContext& context) : context_(context) {}
  FilterVerdict on_request_head(http::RequestHead&, bool) override { return refuse(); }
  FilterVerdict on_request_settled(http::RequestHead&) override { return refuse(); }

 private:
  FilterVerdict refuse() {
    const FailureRow& row = kMissing.row();
    context_.info().flags |= flag_bit(kMissing);
    context_.local_reply({.status = row.status, .body = row.body, .details = row.details});
    return FilterVerdict::kStop;
  }
  FilterContext& context_;
};

class MissingFactory final : public HttpFilterFactoryOf<MissingFilter, MissingFactory> {
 public:
  FilterExplanation explain(const FilterQuestion&) const override {
    return {"its configuration comes by ECDS, and none has come: 500", true};
  }
};

class MissingNetworkFilter final : public NetworkFilter {
 public:
  NetworkVerdict on_connection(const NetworkFacts&, FilterWorkerState*) const override {
    return {.allowed = false, .details = kMissing.row().details, .lacks_config = true};
  }
  FilterExplanation explain(const NetworkFacts&) const override {
    return {"its configuration comes by ECDS, and none has come: the connection is closed", true};
  }
};

using HcmPtr = std::shared_ptr<const HcmConfig>;

// Itself if no filter of it is wanted.
std::shared_ptr<const HttpFilterChain> renew(const std::shared_ptr<const HttpFilterChain>& filters,
                                             ExtensionSource& source, const ExtensionNames& names) {
  const auto concerns = [&names](const HttpFilterChain::Entry& entry) {
    return entry.discovery != nullptr && names.contains(entry.name);
  };
  if (filters == nullptr || std::ranges::none_of(filters->entries(), concerns)) return filters;
  std::vector<HttpFilterChain::Entry> entries = filters->entries();
  for (HttpFilterChain::Entry& entry : entries)
    if (concerns(entry)) entry.take(entry.discovery->find(source));
  return std::make_shared<const HttpFilterChain>(std::move(entries), filters->buffer_limit());
}

std::shared_ptr<const FilterChain> renew(const std::shared_ptr<const FilterChain>& chain,
                                         ExtensionSource& source, const ExtensionNames& names) {
  if (chain == nullptr) return nullptr;
  auto out = std::make_shared<FilterChain>(*chain);
  bool has_changed = false;
  for (DiscoveredNetworkFilter& discovered : out->discovered) {
    if (!names.contains(discovered.discovery->name)) continue;
    NetworkExtension now = discovered.discovery->find(source);
    out->network_filters[discovered.index] = std::move(now.filter);
    discovered.hash = now.hash;
    has_changed = true;
  }
  if (const HcmPtr* hcm = std::get_if<HcmPtr>(&chain->terminal)) {
    auto filters = renew((*hcm)->filters, source, names);
    if (filters != (*hcm)->filters) {
      auto terminal = std::make_shared<HcmConfig>(**hcm);
      terminal->filters = std::move(filters);
      set_hash(*terminal);
      out->terminal = HcmPtr(std::move(terminal));
      has_changed = true;
    }
  }
  if (!has_changed) return chain;
  set_hash(*out);
  return out;
}

}  // namespace

bool ExtensionDiscovery::allows(std::string_view type) const {
  return std::ranges::find(types, type) != types.end();
}

HttpExtension HttpDiscovery::find(ExtensionSource& extensions) const {
  HttpExtension said = extensions.http_extension(name);
  return said.factory != nullptr && allows(said.type->type) ? said : fallback;
}

NetworkExtension NetworkDiscovery::find(ExtensionSource& extensions) const {
  NetworkExtension said = extensions.network_extension(name);
  return said.filter != nullptr && allows(said.type->type) ? said : fallback;
}

ListenerExtension ListenerFilterDiscovery::find(ExtensionSource& extensions) const {
  const ListenerExtension said = extensions.listener_extension(name);
  return !said.type.empty() && allows(said.type) ? said : fallback;
}

std::shared_ptr<const HttpFilterFactory> missing_http_filter() {
  return std::make_shared<const MissingFactory>();
}

std::shared_ptr<const NetworkFilter> missing_network_filter() {
  return std::make_shared<const MissingNetworkFilter>();
}

std::shared_ptr<const ListenerConfig> with_extensions(const ListenerConfig& listener,
                                                      ExtensionSource& source,
                                                      const ExtensionNames& names) {
  auto out = std::make_shared<ListenerConfig>(listener);
  for (auto& chain : out->chains) chain = renew(chain, source, names);
  out->default_chain = renew(out->default_chain, source, names);
  for (DiscoveredListenerFilter& filter : out->discovered_filters)
    if (names.contains(filter.discovery->name)) filter.now = filter.discovery->find(source);
  use_discovered_filters(*out);
  set_hash(*out);
  return out;
}

}  // namespace pillion::core
