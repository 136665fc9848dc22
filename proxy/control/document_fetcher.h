#pragma once
// DocumentFetcher: fetches what filters share (core/shared_document.h), on control's loop, once for
// all workers and for all filters that name the same place.
//
// Owned by the Server.  A document is asked for when a configuration that needs it takes effect,
// and then again and again: after its `refresh`, spread a little, or soon, and less and less often,
// while it cannot be had.  What came last and was good stays in force meanwhile.

#include <memory>
#include <string>
#include <vector>

#include "proxy/base/rng.h"
#include "proxy/builder/snapshot.h"
#include "proxy/core/shared_document.h"
#include "proxy/io/loop.h"
#include "proxy/stats/registry.h"
#include "proxy/upstream/cluster_client.h"

namespace pillion {

class DocumentObserver {
 public:
  // Workers' waiters are to be woken.
  virtual void on_document_changed() = 0;

 protected:
  ~DocumentObserver() = default;
};

class DocumentFetcher {
 public:
  struct Context {
    io::Loop& loop;
    Rng& rng;
    stats::Registry& registry;
    upstream::ClusterClient& client;
    DocumentObserver& observer;
  };
  // One that a filter needs, and whose counters tell of it.
  struct Wanted {
    std::shared_ptr<core::SharedDocument> document;
    std::string stat_prefix;  // of the connection manager
  };

  // All outlive it.
  explicit DocumentFetcher(const Context& context);
  ~DocumentFetcher();
  DocumentFetcher(const DocumentFetcher&) = delete;
  DocumentFetcher& operator=(const DocumentFetcher&) = delete;

  // These, and no others.  A new document of a place that is known has its text at once.
  void use(const std::vector<Wanted>& wanted);

 private:
  class Fetch;
  Context context_;
  std::vector<std::unique_ptr<Fetch>> fetches_;
};

// What the filters of a configuration need.
std::vector<DocumentFetcher::Wanted> documents_of(const Snapshot& snapshot);

}  // namespace pillion
