#include "certs/request_maker.h"

#include <optional>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/tls/wipe.h"

namespace pillion::certs {

// On its way between the threads; wiped, if nobody takes it.
struct RequestMaker::Made {
  Made() = default;
  Made(const Made&) = delete;
  Made& operator=(const Made&) = delete;
  ~Made() {
    if (result && *result) tls::wipe((*result)->key_pem);
  }
  std::optional<Result<tls::SigningRequest>> result;
};

void RequestMaker::start(tls::KeyType key, std::vector<tls::San> sans) {
  DASSERT(!is_busy());
  if (key != tls::KeyType::kRsa2048 && key != tls::KeyType::kRsa4096)
    return observer_.on_request_made(tls::make_signing_request(key, sans));
  stop_ = false;
  inbox_ = std::make_unique<io::Inbox>(loop_);
  thread_.post([this, key, names = std::move(sans)](const std::stop_token&) { make(key, names); });
}

// On the thread, which cancel() waits for before anything of this dies.
void RequestMaker::make(tls::KeyType key, const std::vector<tls::San>& sans) {
  auto made = std::make_unique<Made>();
  made->result = tls::make_signing_request(key, sans, &stop_);
  inbox_->post([this, held = std::move(made)] { take(*held); });
}

void RequestMaker::take(Made& made) {
  // The message, which `made` belongs to, outlives the inbox that brought it.
  Result<tls::SigningRequest> result = std::move(*made.result);
  cancel();
  observer_.on_request_made(std::move(result));
}

void RequestMaker::cancel() {
  if (!is_busy()) return;
  stop_ = true;
  thread_.wait();
  inbox_.reset();
}

}  // namespace pillion::certs
