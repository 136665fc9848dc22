#pragma once
// Routes that are fetched when a request asks for them: virtual hosts (VHDS), and the tables of
// on-demand scopes (SRDS).
//
// A filter whose stream has no route waits as a RouteWaiter (FilterContext::await_routes).  Its
// worker's RouteDemands tells control the name, once for all that wait for it.  Control asks the
// control plane; when workers have what came of it, or it is clear that nothing will, it answers
// the name.  Waiters are woken then, and with each change of the configuration, and look again.
//
// Peers choose the names: how many streams wait is bounded, as is what is kept about names that led
// to nothing, and only what can be a host's name is asked for.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/intrusive_list.h"

namespace pillion::core {

enum class RouteKind : uint8_t {
  kVirtualHost,  // "<route table>/<host>"
  kTable         // the RDS name
};
struct RouteName {
  RouteKind kind = RouteKind::kVirtualHost;
  std::string name;
  auto operator<=>(const RouteName&) const = default;
};
// The same, borrowed.  Without a name: there is nothing to ask for.
struct RouteWish {
  RouteKind kind = RouteKind::kVirtualHost;
  std::string_view name = {};
  bool operator==(const RouteWish&) const = default;
};

// May it be the host of a request for which a control plane is asked?
bool is_askable_host(std::string_view host) noexcept;

// Control's side; called on a worker's thread.
class RouteAsker {
 public:
  virtual void ask_for_route(const RouteName& name) = 0;

 protected:
  ~RouteAsker() = default;
};

class RouteDemands;
struct RouteDemandTag {};

class RouteWaiter : public ListNode<RouteDemandTag> {
 public:
  // There may be a route now.  It waits no longer, and may wait again.
  virtual void on_routes() = 0;
  // Idempotent; at the latest in on_complete.
  void stop_waiting() noexcept;

 protected:
  ~RouteWaiter() = default;

 private:
  friend class RouteDemands;
  RouteDemands* demands_ = nullptr;  // null: it does not wait
  RouteWish wish_;                   // the last one; of the stream's arena
};

// Of one worker.
class RouteDemands {
 public:
  static constexpr size_t kMaxWaiting = 1024;
  // How long a name that led to nothing is not asked for again, and how many such names are known.
  static constexpr Duration kInVainTime = std::chrono::seconds(1);
  static constexpr size_t kMaxInVain = 1024;

  // Null, as in the beginning: nobody can be asked.
  void set_asker(RouteAsker* asker) noexcept { asker_ = asker; }
  // False: it would wait in vain, or too many do.
  bool await(RouteWaiter& waiter, RouteWish wish, Instant now);
  // The configuration has changed.
  void wake();
  // Control has nothing more to say about these, for now.
  void answer(const std::vector<RouteName>& names, Instant now);
  [[nodiscard]] size_t waiting() const noexcept { return count_; }

 private:
  friend class RouteWaiter;
  struct Less {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const noexcept {
      return a.kind != b.kind ? a.kind < b.kind
                              : std::string_view(a.name) < std::string_view(b.name);
    }
  };
  [[nodiscard]] bool is_in_vain(RouteWish wish, Instant now) const;
  [[nodiscard]] bool is_awaited(RouteWish wish) const;

  RouteAsker* asker_ = nullptr;
  IntrusiveList<RouteWaiter, RouteDemandTag> list_;
  size_t count_ = 0;
  std::map<RouteName, Instant, Less> in_vain_;  // until when
};

}  // namespace pillion::core
