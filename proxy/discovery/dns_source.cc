#include "proxy/discovery/dns_source.h"

#include <algorithm>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "proxy/discovery/dns_answer.h"

namespace pillion::discovery {

using upstream::DnsOptions;
using upstream::DnsTarget;

class DnsSource::Target final : private io::DnsObserver {
 public:
  Target(DnsSource& source, const DnsTarget& what, const upstream::HostSet& previous)
      : source_(source), what_(what) {
    if (auto ip = io::Address::parse_ip(what.name, what.port)) {
      addresses_.push_back(*ip);
      answered_ = true;
      return;
    }
    // Until DNS answers, and if it does not, this is as good as the last answer.
    for (const upstream::HostInfoPtr& host : previous.hosts) {
      const bool is_ours =
          host->hostname() == what.like.hostname && host->address.port() == what.port;
      if (is_ours && host->address.is_ip()) addresses_.push_back(host->address);
    }
  }
  [[nodiscard]] bool was_answered() const noexcept { return answered_; }
  void start() {
    if (!answered_) source_.context_.loop.arm(timer_, Duration{});
  }
  void add_hosts(upstream::Endpoints& out, bool only_one) const {
    for (const io::Address& address : addresses_) {
      out.push_back(what_.like);
      out.back().address = address;
      if (only_one) return;
    }
  }

 private:
  void ask() {
    source_.context_.observer.on_attempt(source_);
    source_.context_.resolver.resolve(what_.name, families_to_ask(source_.options_.family), *this);
  }
  void on_dns_answer(io::DnsAnswer answer) override;
  void log_failure(const io::DnsAnswer& answer);
  // Is it news that the name has no address?
  bool is_newly_empty(bool is_empty);

  DnsSource& source_;
  const DnsTarget what_;
  KnownAddresses known_;
  std::vector<io::Address> addresses_;  // in use, with the port
  io::Timer timer_ = io::Timer::of<&Target::ask>(this);
  uint32_t failures_ = 0;  // in a row
  bool answered_ = false;
  bool told_empty_ = false;
  log::Limit failure_limit_{std::chrono::seconds(10)};
  log::Limit empty_limit_{std::chrono::seconds(10)};  // for an address that comes and goes
};

void DnsSource::Target::log_failure(const io::DnsAnswer& answer) {
  // Each name by itself, as its cluster is of no use.
  if (addresses_.empty()) {
    log::warning(failure_limit_, log::kDns,
                 "lookup failed, and no address is known yet; asking again",
                 {{"name", what_.name}, {"reason", answer.reason}});
    return;
  }
  static log::Limit limit{std::chrono::seconds(5)};
  log::warning(limit, log::kDns, "lookup failed, the last answer stays",
               {{"name", what_.name}, {"reason", answer.reason}, {"addresses", addresses_.size()}});
}

bool DnsSource::Target::is_newly_empty(bool is_empty) {
  if (!is_empty) {
    told_empty_ = false;
    return false;
  }
  uint64_t suppressed = 0;
  if (told_empty_ || !empty_limit_.admit(source_.context_.loop.now(), suppressed)) return false;
  return told_empty_ = true;
}

void DnsSource::Target::on_dns_answer(io::DnsAnswer answer) {
  const DnsOptions& options = source_.options_;
  const bool has_failed = known_.update(answer);
  Duration wait = options.refresh_rate;
  if (has_failed) {
    wait = source_.failure_wait(failures_++);
    log_failure(answer);
  } else {
    failures_ = 0;
    const Duration ttl = shortest_ttl(answer);
    if (options.respect_ttl && ttl != Duration{}) wait = std::max(ttl, options.min_ttl);
    wait = source_.with_jitter(wait);
    keep_places(addresses_, known_.choose(options.family), what_.port);
  }
  source_.context_.loop.arm(timer_, wait);
  const bool is_first = !std::exchange(answered_, true);
  Outcome outcome = addresses_.empty() ? Outcome::kEmpty : Outcome::kChanged;
  if (has_failed) outcome = Outcome::kFailed;
  const bool tell = !has_failed && is_newly_empty(addresses_.empty());
  source_.on_answer(outcome, is_first, tell ? std::string_view(what_.name) : std::string_view());
}

DnsSource::DnsSource(const Context& context, const upstream::ClusterConfig& config,
                     upstream::HostSetPtr previous)
    : Source(previous ? std::move(previous) : std::make_shared<const upstream::HostSet>()),
      context_(context),
      options_(*config.dns),
      only_one_(config.type == upstream::DiscoveryType::kLogicalDns) {
  for (const DnsTarget& target : config.dns_targets) {
    targets_.push_back(std::make_unique<Target>(*this, target, *hosts_));
    if (!targets_.back()->was_answered()) ++unanswered_;
  }
  rebuild();
}

DnsSource::~DnsSource() = default;

void DnsSource::start() {
  for (const std::unique_ptr<Target>& target : targets_) target->start();
}

void DnsSource::on_answer(Outcome outcome, bool is_first, std::string_view empty_name) {
  Update update;
  update.empty_name = empty_name;
  if (is_first) update.became_warm = --unanswered_ == 0;
  update.hosts_changed = outcome != Outcome::kFailed && rebuild();
  update.outcome = outcome;
  if (outcome == Outcome::kChanged && !update.hosts_changed) update.outcome = Outcome::kUnchanged;
  context_.observer.on_update(*this, update);
}

bool DnsSource::rebuild() {
  upstream::Endpoints infos;
  for (const std::unique_ptr<Target>& target : targets_) target->add_hosts(infos, only_one_);
  const upstream::HostSetPtr before = std::exchange(hosts_, upstream::make_host_set(infos, hosts_));
  return before != hosts_;
}

Duration DnsSource::with_jitter(Duration wait) const {
  return wait + Duration(context_.rng.below(static_cast<uint64_t>(options_.jitter.count())));
}

Duration DnsSource::failure_wait(uint32_t failures) const {
  Duration longest = options_.failure_base;
  while (failures-- > 0 && longest < options_.failure_max) longest *= 2;
  longest = std::min(longest, options_.failure_max);
  // Full jitter spreads retries best, but must not make a busy loop of them.
  const Duration least = std::min<Duration>(longest, std::chrono::milliseconds(100));
  return std::max(least, Duration(context_.rng.below(static_cast<uint64_t>(longest.count()))));
}

std::string DnsSource::key_of(const upstream::ClusterConfig& config) {
  const DnsOptions& o = *config.dns;
  std::string key =
      str(static_cast<int>(config.type), ' ', static_cast<int>(o.family), ' ',
          o.refresh_rate.count(), ' ', o.failure_base.count(), ' ', o.failure_max.count(), ' ',
          o.min_ttl.count(), ' ', o.jitter.count(), ' ', o.respect_ttl ? 1 : 0);
  for (const DnsTarget& target : config.dns_targets) {
    const upstream::Endpoint& like = target.like;
    // Host names and localities are free text: their lengths keep them apart.
    key += str('\n', target.name, ' ', target.port, ' ', like.weight, ' ', like.priority, ' ',
               static_cast<int>(like.health), ' ', like.hostname.size(), ' ', like.hostname);
    if (like.check != nullptr) {
      const upstream::CheckTarget& check = *like.check;
      key += str(" check ", check.port, ' ', check.is_disabled ? 1 : 0, ' ', check.hostname.size(),
                 ' ', check.hostname);
    }
    // Equal labels are one object, which the targets keep.
    key += str(' ', reinterpret_cast<uintptr_t>(like.transport.get()));
    if (like.locality == nullptr) continue;
    for (const std::string& part :
         {like.locality->region, like.locality->zone, like.locality->sub_zone}) {
      key += str(' ', part.size(), ' ', part);
    }
  }
  return key;
}

}  // namespace pillion::discovery
