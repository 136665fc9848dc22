#include "certs/sds.h"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "certs/problem.h"
#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "xds/reflect.h"

namespace pillion::certs {
namespace {

// A secret is some kilobytes; what is longer is none.
constexpr size_t kMaxMessageBytes = size_t{8} << 20;

}  // namespace

// ---- one secret ----

SdsSecret::SdsSecret(const ProviderContext& context, const tls::SecretRef& ref)
    : context_(context),
      ref_(ref),
      name_(ref.key()),
      stats_(context.registry.block<stats::SdsStats>(stats::kControl, ref.name)),
      watches_(context.loop, *this) {
  stats_->update_attempt.inc();
}

std::string SdsSecret::put(Said& said) {
  config::Errors errors;
  const config::DocumentPtr document =
      xds::reflect(xds::message_of(xds::ResourceType::kSecrets), said.bytes,
                   str("sds/", config::printable(ref_.name)), errors);
  std::string name;
  tls::SecretPtr secret;
  if (document != nullptr && errors.ok()) secret = tls::parse_secret(document->root(errors), name);
  said.files = errors.files();
  if (!errors.ok() || secret == nullptr) return first_problem(errors);
  auto taken = context_.store.put(name_, {std::move(secret), said.version});
  return taken ? "" : str("sds/", config::printable(ref_.name), ": ", taken.error());
}

std::string SdsSecret::take(const xds::Resource& resource, const std::string& version) {
  const Instant begin = MonotonicClock::now();
  Said said{resource.bytes, version, {}};
  std::string wrong = put(said);
  std::set<std::string> files = in_force_.files;
  files.insert(said.files.begin(), said.files.end());
  if (watches_.set(files)) wrong = put(said);
  if (!wrong.empty()) {
    keep(refused_, std::move(said));
    refuse(wrong);
    return wrong;
  }
  keep(in_force_, std::move(said));
  stats_->update_attempt.inc();
  stats_->update_success.inc();
  stats_->update_time.set(to_millis(wall_now().time_since_epoch()));
  stats_->update_duration.record(MonotonicClock::now() - begin);
  stats_->version.set(xds::version_number(version));
  return {};
}

void SdsSecret::keep(Said& place, Said said) {
  refused_ = {};
  place = said.files.empty() ? Said{} : std::move(said);
  std::set<std::string> files = in_force_.files;
  files.insert(refused_.files.begin(), refused_.files.end());
  watches_.set(files);
}

void SdsSecret::read_again() {
  std::string wrong;
  if (!refused_.files.empty()) {
    wrong = put(refused_);
    if (wrong.empty()) return keep(in_force_, std::exchange(refused_, {}));
  }
  if (!in_force_.files.empty()) {
    if (std::string problem = put(in_force_); !problem.empty()) {
      stats_->key_rotation_failed.inc();
      wrong = std::move(problem);
    }
  }
  if (!wrong.empty()) context_.store.fail(name_, wrong);
}

void SdsSecret::refuse(std::string_view reason) {
  stats_->update_attempt.inc();
  stats_->update_rejected.inc();
  context_.store.fail(name_, reason);
  context_.store.give_up(name_);  // what is wrong now will not soon be right
}

void SdsSecret::on_fetch_timeout() {
  stats_->init_fetch_timeout.inc();
  context_.store.give_up(name_);
}

void SdsSecret::on_failures(uint64_t times) {
  stats_->update_attempt.add(times);
  stats_->update_failure.add(times);
}

// ---- its stream ----

class SdsProvider::Stream final : private xds::SourceObserver {
 public:
  Stream(const ProviderContext& context, const xds::AdsOptions& options, const tls::SecretRef& ref)
      : secret_(context, ref),
        client_(context.loop, context.rng, context.host.cluster_client(), *this, options) {
    client_.start();
    client_.subscribe(xds::ResourceType::kSecrets, {{ref.name, ref.timeout}});
  }
  void stop() { client_.stop(); }
  void update_stats() {
    const uint64_t now = client_.counts(xds::ResourceType::kSecrets).failure;
    if (now != failures_) secret_.on_failures(now - std::exchange(failures_, now));
  }

 private:
  void on_resources(xds::Response&& response) override {
    const std::string wrong = take(response);
    const xds::ResourceType type = response.type;
    client_.answered(type, secret_.ref().name);
    wrong.empty() ? client_.accept(type) : client_.reject(type, wrong);
  }
  void on_fetch_timeout(xds::ResourceType, const std::set<std::string>&) override {
    secret_.on_fetch_timeout();
  }
  void on_connected(bool, std::string_view, std::string_view) override {}

  std::string take(const xds::Response& response) {
    for (const xds::Resource& resource : response.resources) {
      if (resource.name == secret_.ref().name) return secret_.take(resource, response.version);
    }
    // A delta that has not it says nothing of it, or that it is gone: what is in force stays.
    if (response.is_delta && response.wrong.empty()) {
      if (!response.removed.empty()) secret_.refuse("the server has it no more");
      return {};
    }
    std::string wrong = response.wrong;
    if (wrong.empty())
      wrong = str("sds: the response has no secret \"", config::printable(secret_.ref().name), '"');
    secret_.refuse(wrong);
    return wrong;
  }

  SdsSecret secret_;
  xds::AdsClient client_;
  uint64_t failures_ = 0;  // of which the counters speak
};

SdsProvider::SdsProvider(const ProviderContext& context, const config::GrpcService& service)
    : context_(context), service_(service) {}
SdsProvider::~SdsProvider() = default;

void SdsProvider::want(const tls::SecretRef& ref) {
  xds::AdsOptions options(service_);
  options.only = xds::ResourceType::kSecrets;
  options.peer = str("the secret discovery service of \"", config::printable(ref.name), '"');
  options.tells_again = false;
  options.node = context_.host.encoded_node();
  options.max_message_bytes = std::min(options.max_message_bytes, kMaxMessageBytes);
  streams_[ref.key()] = std::make_unique<Stream>(context_, options, ref);
}

void SdsProvider::unwant(const tls::SecretName& name) {
  const auto it = streams_.find(name);
  if (it == streams_.end()) return;
  it->second->stop();
  streams_.erase(it);
}

void SdsProvider::stop() {
  for (auto& [name, stream] : streams_) stream->stop();
}

void SdsProvider::update_stats() {
  for (auto& [name, stream] : streams_) stream->update_stats();
}

}  // namespace pillion::certs
