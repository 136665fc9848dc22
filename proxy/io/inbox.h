#pragma once
// Inbox: how other threads reach a loop.  post() may be called from any thread while the Inbox
// lives; the message runs on the loop's thread, in order of posting.
//
// Messages carry values, ids and shared_ptr<const T>, never pointers to another thread's objects.
// Off the data path: each message is one allocation.

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace pillion::io {

class Loop;

class Inbox {
 public:
  explicit Inbox(Loop& loop);  // on the loop's thread, or before it runs
  // On the loop's thread, perhaps by a message; those not yet run are destroyed unrun.
  ~Inbox();
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  template <typename Fn>
  void post(Fn&& fn) {
    push(std::make_unique<Call<std::decay_t<Fn>>>(std::forward<Fn>(fn)), true);
  }
  // As post(), but it wakes nobody up, which costs both threads more than most messages do: it runs
  // with the next that is posted, or by run_posted().
  template <typename Fn>
  void post_quietly(Fn&& fn) {
    push(std::make_unique<Call<std::decay_t<Fn>>>(std::forward<Fn>(fn)), false);
  }
  void wake();  // from any thread, as post()
  // All messages so far, on the loop's thread; a message may have destroyed the Inbox.
  void run_posted();
  // While unreferenced the inbox does not keep the loop alive (tests, shutdown).
  void unref() noexcept;

 private:
  struct Message {
    virtual ~Message() = default;
    virtual void run() = 0;
  };
  template <typename Fn>
  struct Call final : Message {
    explicit Call(Fn f) : fn(std::move(f)) {}
    void run() override { fn(); }
    Fn fn;
  };
  struct State;
  void push(std::unique_ptr<Message> message, bool wakes);

  State* state_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Message>> waiting_;
};

}  // namespace pillion::io
