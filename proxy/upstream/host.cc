#include "proxy/upstream/host.h"

#include "proxy/base/assert.h"

namespace pillion::upstream {

Host::~Host() {
  for_each_pool([](Pool& pool) { pool.bury({FailureKind::kHostRemoved}); });
}

void Host::use(const Pool::Context& context) {
  DASSERT(pool_ == nullptr);
  counters_ = &identity_->stats->of(context.worker);
  pool_ = new Pool(context, *identity_, *counters_, context.config->pool->main_protocol());
}

Pool& Host::pool(PoolProtocol protocol, const Pool::Context& context) {
  if (pool_->protocol() == protocol) return *pool_;
  if (other_ == nullptr) other_ = new Pool(context, *identity_, *counters_, protocol);
  return *other_;
}

}  // namespace pillion::upstream
