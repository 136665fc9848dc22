// pillion.filters.http.principal_stats: counts requests by who asks, the SPIFFE id of the peer's
// certificate (Istio's source_principal).  Pillion's own; Envoy has no such filter.
//
// "unknown" is who proved no id: plain text, or a certificate without a URI.  An id has its row for
// as long as the listener lives, up to kMaxPrincipals on a worker; more are "other".  A peer cannot
// make ids up, for its certificate was verified.
#include <string>

#include "proxy/base/text_map.h"
#include "proxy/core/http_filter.h"

namespace pillion::filters {
namespace {

using config::Node;
using core::FilterContext;
using core::FilterVerdict;
using stats::PrincipalStats;

// On a worker, of one connection manager; documented in filters/README.md.
constexpr size_t kMaxPrincipals = 256;

struct WorkerState final : core::FilterWorkerState {
  explicit WorkerState(const core::FilterWorkerSetup& setup)
      : registry(setup.registry), writer(setup.writer), prefix(setup.stat_prefix) {}

  PrincipalStats& row(std::string_view principal) {
    if (const auto it = rows.find(principal); it != rows.end()) return *it->second;
    if (rows.size() >= kMaxPrincipals) {
      if (!other) other = registry.block<PrincipalStats>(writer, prefix, "other");
      return *other;
    }
    return *rows.emplace(principal, registry.block<PrincipalStats>(writer, prefix, principal))
                .first->second;
  }

  stats::Registry& registry;
  stats::Writer writer;
  std::string prefix;
  TextMap<stats::BlockRef<PrincipalStats>> rows;
  stats::BlockRef<PrincipalStats> other;
};

class Filter;

class Factory final : public core::HttpFilterFactoryOf<Filter, Factory, WorkerState> {};

class Filter final : public core::HttpFilter {
 public:
  Filter(const Factory&, FilterContext& context) : context_(context) {}

  void on_complete() override {
    PrincipalStats& row = context_.worker_state<WorkerState>().row(principal());
    row.rq_total.inc();
    switch (context_.info().response_code / 100) {
      case 2:
        return row.rq_2xx.inc();
      case 3:
        return row.rq_3xx.inc();
      case 4:
        return row.rq_4xx.inc();
      case 5:
        return row.rq_5xx.inc();
      default:  // none, or a switch of protocols
        return;
    }
  }

 private:
  [[nodiscard]] std::string_view principal() const {
    const io::PeerIdentity* peer = context_.connection().identity;
    const bool is_proven = peer != nullptr && peer->verified && !peer->uri_san.empty();
    return is_proven ? peer->uri_san : "unknown";
  }

  FilterContext& context_;
};

std::shared_ptr<const core::HttpFilterFactory> parse(const Node& node,
                                                     const core::FilterParseContext&) {
  node.reject_unknown_keys();
  return std::make_shared<Factory>();
}

}  // namespace

extern const core::HttpFilterType kPrincipalStats;
const core::HttpFilterType kPrincipalStats{
    "pillion.filters.http.principal_stats.v1.PrincipalStats", {}, parse};

}  // namespace pillion::filters
