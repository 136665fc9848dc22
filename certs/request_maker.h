#pragma once
// RequestMaker: a fresh key and the request for its certificate, made so that the control loop is
// not held up: an RSA key takes up to seconds, and is made on a thread of its own; the others take
// less than a millisecond, and are made at once.
//
// One at a time; single-threaded.  `loop` and the observer outlive it.

#include <atomic>
#include <memory>
#include <vector>

#include "proxy/base/background_queue.h"
#include "proxy/base/result.h"
#include "proxy/io/inbox.h"
#include "proxy/io/loop.h"
#include "proxy/tls/csr.h"

namespace pillion::certs {

class RequestMakerObserver {
 public:
  // Perhaps inside start().  The key is the observer's to wipe.
  virtual void on_request_made(Result<tls::SigningRequest> made) = 0;

 protected:
  ~RequestMakerObserver() = default;
};

class RequestMaker {
 public:
  RequestMaker(io::Loop& loop, RequestMakerObserver& observer) noexcept
      : loop_(loop), observer_(observer) {}
  ~RequestMaker() { cancel(); }
  RequestMaker(const RequestMaker&) = delete;
  RequestMaker& operator=(const RequestMaker&) = delete;

  // Not while it is busy.
  void start(tls::KeyType key, std::vector<tls::San> sans);
  // The observer is not called any more; waits for the thread, which gives up within milliseconds.
  void cancel();
  [[nodiscard]] bool is_busy() const noexcept { return inbox_ != nullptr; }

 private:
  struct Made;
  void make(tls::KeyType key, const std::vector<tls::San>& sans);
  void take(Made& made);

  io::Loop& loop_;
  RequestMakerObserver& observer_;
  std::unique_ptr<io::Inbox> inbox_;  // while it is busy
  std::atomic<bool> stop_{false};
  BackgroundQueue thread_;
};

}  // namespace pillion::certs
