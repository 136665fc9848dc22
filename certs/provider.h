#pragma once
// Provider: a source of secrets (files, SDS, the SPIFFE Workload API, a CA that signs requests).
//
// Made and owned by Providers (providers.h), one per SecretSource; on the control loop.  It is told
// which of its secrets are wanted, gets them, keeps them fresh, and says what it knows to the
// SecretStore:
//
//   want(ref)+  ->  store.put(ref.key(), {secret, version}) | store.fail(ref.key(), reason) ...
//   unwant(name)                   nobody needs it: streams and timers of it end
//   stop()                         the process ends: no call is open and no timer armed afterwards
//
// The rule for all of them (design: issue 6, part 1): keep the last good secret until it expires,
// renew it at half of its life (renewal.h), back off on failure, log once per change.  store.fail()
// keeps it and logs; only store.remove() takes it away, for what a source declares invalid.
//
// Contents of secrets reach put() and nothing else: no log line, no message, no error text.

#include <string>
#include <string_view>

#include "proxy/base/rng.h"
#include "proxy/io/loop.h"
#include "proxy/stats/registry.h"
#include "proxy/tls/secret_store.h"
#include "proxy/upstream/cluster_client.h"

namespace pillion::certs {

// What providers work with; all of it outlives them.
class ProviderHost {
 public:
  // Calls upstreams; the clusters of the configuration that is being applied are known to it.
  virtual upstream::ClusterClient& cluster_client() = 0;
  // envoy.config.core.v3.Node, encoded; empty if the configuration names no node.
  [[nodiscard]] virtual std::string_view encoded_node() const = 0;

 protected:
  ~ProviderHost() = default;
};

struct ProviderContext {
  io::Loop& loop;
  Rng& rng;
  stats::Registry& registry;
  tls::SecretStore& store;
  ProviderHost& host;
};

class Provider {
 public:
  virtual ~Provider() = default;
  Provider() = default;
  Provider(const Provider&) = delete;
  Provider& operator=(const Provider&) = delete;

  // Once for each secret, until unwant().  May call store.put() at once.
  virtual void want(const tls::SecretRef& ref) = 0;
  virtual void unwant(const tls::SecretName& name) = 0;
  virtual void stop() = 0;
  // The configuration was read again: look whether what it reads by itself (files) has changed.
  virtual void check() {}
  // Before a scrape: brings counters up to date that something else keeps.
  virtual void update_stats() {}
};

}  // namespace pillion::certs
