#pragma once
// Source: where the endpoints of clusters come from; one contract for all kinds of discovery.
//
// Owned by Discovery, lives on the control loop.  A source depends on nothing but what it asks for,
// so that it outlives the configurations that use it, and several clusters may share it.  It never
// takes back what it knows because asking failed.
//
// Calls match: start (on_attempt on_update)*, or on_update alone if it is counted elsewhere.
// Neither comes inside start().

#include <string_view>
#include <utility>

#include "proxy/base/intrusive_list.h"
#include "proxy/upstream/host_set.h"

namespace pillion::discovery {

class Source;

// One use of a source, in the list that the source keeps of them: whom an update concerns is found
// without a look at all others.
class SourceUse : public ListNode<> {};

enum class Outcome : uint8_t {
  kChanged,    // hosts() is new
  kUnchanged,  // the same hosts again
  kEmpty,      // there are no hosts, says whoever was asked; hosts() may be new
  kFailed,     // nobody could tell: hosts() stays
};

struct Update {
  Outcome outcome = Outcome::kUnchanged;
  bool hosts_changed = false;
  bool became_warm = false;
  bool is_counted = false;  // by whoever asked: success and attempts need not be
  // A name that has no address any more, or had none from the start; empty for all other updates.
  // Told at most once in a while, so that a log line may be made of it.  Valid during the call.
  std::string_view empty_name;
};

class SourceObserver {
 public:
  virtual void on_attempt(Source& source) = 0;
  // The last thing that a source does in a callback of its own.
  virtual void on_update(Source& source, const Update& update) = 0;

 protected:
  ~SourceObserver() = default;
};

class Source {
 public:
  virtual ~Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  virtual void start() = 0;
  // Did it say all that it can for a beginning (a failure counts)?
  [[nodiscard]] virtual bool is_warm() const noexcept = 0;
  // Never null.
  [[nodiscard]] const upstream::HostSetPtr& hosts() const noexcept { return hosts_; }
  [[nodiscard]] IntrusiveList<SourceUse>& uses() noexcept { return uses_; }

 protected:
  explicit Source(upstream::HostSetPtr hosts) noexcept : hosts_(std::move(hosts)) {}
  upstream::HostSetPtr hosts_;

 private:
  IntrusiveList<SourceUse> uses_;
};

// Endpoints that stand in the configuration.
class StaticSource final : public Source {
 public:
  // Hosts that are in `previous` (may be null) keep their identity.
  StaticSource(const upstream::HostSet& endpoints, const upstream::HostSetPtr& previous);
  void start() override {}
  [[nodiscard]] bool is_warm() const noexcept override { return true; }
};

// Endpoints that a control plane says (EDS).  Whoever uses it waits for the first answer before the
// cluster takes effect, so that the source itself is always warm.  The control plane's client
// counts what it asks and is told.
class EdsSource final : public Source {
 public:
  explicit EdsSource(SourceObserver& observer);
  void start() override {}
  [[nodiscard]] bool is_warm() const noexcept override { return true; }
  // Made with hosts() of before (upstream/host_set.h).
  void set(upstream::HostSetPtr next);

 private:
  SourceObserver& observer_;
};

}  // namespace pillion::discovery
