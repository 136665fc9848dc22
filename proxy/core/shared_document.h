#pragma once
// SharedDocument: a text that control fetches by HTTP for all workers, again and again (the keys of
// a token issuer), and what was made of it.  Design, section 11: fetches shared on control.
//
// A filter's factory owns it and names it to control (HttpFilterFactory::documents), which fetches
// it as long as the factory is in force, and publishes what came; the last good one stays until
// there is a better one.  Workers look at version() with each request, and take the value only when
// that has changed.  Who needs a document that has not come yet waits in its worker's list
// (DocumentWaiter).

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "proxy/base/clock.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/base/result.h"

namespace pillion::core {

struct FilterWorkerSetup;

// Where a document is, and how often it is asked for.
struct DocumentSource {
  std::string cluster;
  std::string authority;
  std::string path;
  Duration timeout = std::chrono::seconds(1);  // of one try
  Duration refresh = std::chrono::minutes(10);
  Duration after_failure = std::chrono::seconds(1);  // and then twice that, up to `refresh`
  uint32_t retries = 0;                              // of one fetch, before it counts as failed
  Duration retry_base = std::chrono::seconds(1);
  Duration retry_max = std::chrono::seconds(10);
  size_t max_bytes = size_t{1} << 20;

  bool operator==(const DocumentSource&) const = default;
};

class SharedDocument {
 public:
  using Value = std::shared_ptr<const void>;

  explicit SharedDocument(DocumentSource source) : source_(std::move(source)) {}
  virtual ~SharedDocument() = default;

  // ---- control ----
  [[nodiscard]] const DocumentSource& source() const noexcept { return source_; }
  // A new text; what is wrong with it, and then the value in force stays.
  Status<> publish(std::string_view text);
  // It cannot be had now.  Who waits for the first one learns that.
  void fail();
  // A fetch has ended, well or not: `setup` is for counters.
  virtual void on_fetched(bool /*ok*/, const FilterWorkerSetup& /*setup*/) {}

  // ---- any thread ----
  // 0: nothing is known yet.  Else it changes with each value.
  [[nodiscard]] uint32_t version() const noexcept {
    return version_.load(std::memory_order_acquire);
  }
  // Null: it could not be had so far.  Takes a lock.
  [[nodiscard]] Value value() const;

 protected:
  virtual Result<Value> parse(std::string_view text) = 0;

 private:
  void set(Value value);

  const DocumentSource source_;
  std::atomic<uint32_t> version_{0};
  mutable std::mutex mutex_;
  Value value_;
};

struct DocumentTag {};

// Told once, on its worker, when any document has changed; looks for itself and may wait again.
class DocumentWaiter : public ListNode<DocumentTag> {
 public:
  virtual void on_documents() = 0;

 protected:
  ~DocumentWaiter() = default;
};

// Those of one worker.
class DocumentWaiters {
 public:
  void add(DocumentWaiter& waiter) { list_.push_back(waiter); }
  void wake() {
    IntrusiveList<DocumentWaiter, DocumentTag> now;
    now.splice(list_);
    while (DocumentWaiter* waiter = now.pop_front()) waiter->on_documents();
  }

 private:
  IntrusiveList<DocumentWaiter, DocumentTag> list_;
};

}  // namespace pillion::core
