#include "proxy/control/document_fetcher.h"

#include <algorithm>
#include <utility>

#include "proxy/base/jitter.h"
#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "proxy/core/http_filter_chain.h"

namespace pillion {
namespace {

constexpr double kJitterPercent = 10;
// At least so long between two tries, however short the configuration says.
constexpr Duration kShortestPause = std::chrono::milliseconds(100);
constexpr Duration kLongestPause = std::chrono::minutes(5);

}  // namespace

// ---- one place ----

class DocumentFetcher::Fetch final : private upstream::ClientCallObserver {
 public:
  Fetch(const Context& context, core::DocumentSource source)
      : context_(context), source_(std::move(source)) {}
  ~Fetch() = default;
  Fetch(const Fetch&) = delete;
  Fetch& operator=(const Fetch&) = delete;

  [[nodiscard]] const core::DocumentSource& source() const noexcept { return source_; }
  [[nodiscard]] bool empty() const noexcept { return users_.empty(); }
  // Those of `wanted` that are of this place.
  void use(const std::vector<Wanted>& wanted);

 private:
  void on_call_head(const http::ResponseHead& head, bool end) override;
  void on_call_data(std::string_view data, bool end) override;
  void on_call_trailers(const http::Headers&) override { take(); }
  void on_call_failed(Failure failure, std::string_view reason) override;

  void ask();
  void take();
  void fail(std::string_view reason);
  void end(bool ok);
  [[nodiscard]] Duration pause_after_failure();

  Context context_;
  const core::DocumentSource source_;
  std::vector<Wanted> users_;
  std::string good_;  // the last text that was good
  std::string body_;  // of the answer that comes
  upstream::ClientCallPtr call_;
  io::Timer timer_ = io::Timer::of<&Fetch::ask>(this);
  uint32_t tries_ = 0;     // of this fetch that failed
  uint32_t failures_ = 0;  // fetches in a row
};

void DocumentFetcher::Fetch::use(const std::vector<Wanted>& wanted) {
  const bool is_new = users_.empty();
  std::vector<Wanted> users;
  for (const Wanted& w : wanted) {
    if (w.document->source() != source_) continue;
    if (w.document->version() == 0 && !good_.empty()) (void)w.document->publish(good_);
    if (w.document->version() == 0 && failures_ != 0) w.document->fail();
    users.push_back(w);
  }
  users_ = std::move(users);
  if (is_new && !users_.empty()) ask();
}

void DocumentFetcher::Fetch::ask() {
  body_.clear();
  call_ = context_.client.open(source_.cluster,
                               {.method = "GET",
                                .path = source_.path,
                                .authority = source_.authority,
                                .content_length = 0,
                                .timeout = source_.timeout},
                               *this);
  call_->send({}, true);
}

void DocumentFetcher::Fetch::on_call_head(const http::ResponseHead& head, bool end) {
  if (head.status != 200) return fail(str("status ", head.status));
  if (end) take();
}

void DocumentFetcher::Fetch::on_call_data(std::string_view data, bool end) {
  if (body_.size() + data.size() > source_.max_bytes)
    return fail(str("more than ", source_.max_bytes, " bytes"));
  body_ += data;
  if (end) take();
}

void DocumentFetcher::Fetch::on_call_failed(Failure failure, std::string_view reason) {
  fail(reason.empty() ? failure.row().details : reason);
}

void DocumentFetcher::Fetch::take() {
  std::string wrong;
  for (const Wanted& user : users_) {
    if (Status<> published = user.document->publish(body_); !published) wrong = published.error();
  }
  if (!wrong.empty()) return fail(wrong);
  if (failures_ != 0) {
    log::info(log::kUpstream, "a document is there again",
              {{"cluster", source_.cluster}, {"path", source_.path}});
  }
  good_ = std::move(body_);
  failures_ = 0;
  end(true);
}

void DocumentFetcher::Fetch::fail(std::string_view reason) {
  call_.reset();
  if (tries_++ < source_.retries) {
    const Duration base = std::max(source_.retry_base, kShortestPause);
    const Duration pause = std::min(base * (1u << std::min(tries_ - 1, 16u)), source_.retry_max);
    context_.loop.arm(timer_,
                      with_jitter(std::max(pause, kShortestPause), kJitterPercent, context_.rng));
    return;
  }
  if (failures_++ == 0) {
    log::warning(log::kUpstream, "a document cannot be fetched; what is known stays in force",
                 {{"cluster", source_.cluster}, {"path", source_.path}, {"reason", reason}});
  }
  for (const Wanted& user : users_) user.document->fail();
  end(false);
}

void DocumentFetcher::Fetch::end(bool ok) {
  call_.reset();
  body_ = {};
  tries_ = 0;
  // Filters of one connection manager and prefix count a fetch once each, as they would alone.
  for (const Wanted& user : users_)
    user.document->on_fetched(ok, {context_.registry, stats::kControl, user.stat_prefix});
  const Duration pause = ok ? std::max(source_.refresh, kShortestPause) : pause_after_failure();
  context_.loop.arm(timer_, with_jitter(pause, kJitterPercent, context_.rng));
  context_.observer.on_document_changed();
}

Duration DocumentFetcher::Fetch::pause_after_failure() {
  const Duration base = std::max(source_.after_failure, kShortestPause);
  const Duration most = std::max(base, std::min(source_.refresh, kLongestPause));
  return std::min(base * (1u << std::min(failures_ - 1, 12u)), most);
}

// ---- all of them ----

DocumentFetcher::DocumentFetcher(const Context& context) : context_(context) {}
DocumentFetcher::~DocumentFetcher() = default;

void DocumentFetcher::use(const std::vector<Wanted>& wanted) {
  for (const Wanted& w : wanted) {
    const core::DocumentSource& source = w.document->source();
    const auto is_its = [&source](const auto& fetch) { return fetch->source() == source; };
    if (std::ranges::none_of(fetches_, is_its))
      fetches_.push_back(std::make_unique<Fetch>(context_, source));
  }
  for (const auto& fetch : fetches_) fetch->use(wanted);
  std::erase_if(fetches_, [](const auto& fetch) { return fetch->empty(); });
}

namespace {

void add_documents(std::vector<DocumentFetcher::Wanted>& out, const core::FilterChain* chain) {
  if (chain == nullptr) return;
  const auto* hcm = std::get_if<std::shared_ptr<const core::HcmConfig>>(&chain->terminal);
  if (hcm == nullptr || (*hcm)->filters == nullptr) return;
  for (const core::HttpFilterChain::Entry& entry : (*hcm)->filters->entries()) {
    if (entry.factory == nullptr) continue;
    for (auto& document : entry.factory->documents()) {
      const auto is_it = [&](const auto& w) { return w.document == document; };
      if (std::ranges::none_of(out, is_it)) out.push_back({document, (*hcm)->stat_prefix});
    }
  }
}

}  // namespace

std::vector<DocumentFetcher::Wanted> documents_of(const Snapshot& snapshot) {
  std::vector<DocumentFetcher::Wanted> out;
  for (const auto& listener : snapshot.listeners) {
    for (const auto& chain : listener->chains) add_documents(out, chain.get());
    add_documents(out, listener->default_chain.get());
  }
  return out;
}

}  // namespace pillion
