#pragma once
// Expiry: when the certificates in force begin and end, in metrics and in the log.
//
//   ssl.certificate.NAME.{expiration_unix_time_seconds,age_seconds,expired}    ours, by secret or
//   file ssl.trusted_ca.NAME.{...}                     of a bundle: the certificate of it that
//   lasts longest
//
// An identity that is not renewed stays in force, also when it has expired: peers refuse it, and
// say so to their own people; we must have said it before.  One warning when a fifth of its time is
// left (30 days at most), for by then every source has renewed (renewal.h: at half of the life),
// and one error when it is over.  Once for each certificate, however many contexts and connections
// have it.
//
// Owned by the Server, on the control loop, after what it asks (ExpiryHost).  Single-threaded.

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/io/loop.h"
#include "proxy/stats/registry.h"

namespace pillion::certs {

enum class CertificateKind : uint8_t { kOurs, kTrustedCa };
struct CertificateInForce {
  CertificateKind kind = CertificateKind::kOurs;
  std::string name;  // a file, "sds/default", "<inline>"
  WallTime not_before{};
  WallTime not_after{};
  std::string failure{};  // why there is no newer one; empty: not known
};

class ExpiryHost {
 public:
  // Every certificate in force, as often as it is used.  Of several with the same name the first
  // to expire counts, of trusted CAs the last one.
  [[nodiscard]] virtual std::vector<CertificateInForce> certificates_in_force() const = 0;

 protected:
  ~ExpiryHost() = default;
};

class Expiry {
 public:
  // Of each kind; further ones are told in the log only.
  static constexpr size_t kMostGauges = 256;

  // All outlive it; `registry` is told to call update() before each scrape.
  Expiry(io::Loop& loop, stats::Registry& registry, const ExpiryHost& host,
         std::function<WallTime()> clock = wall_now);
  Expiry(const Expiry&) = delete;
  Expiry& operator=(const Expiry&) = delete;

  // A certificate in force is another one: looks again soon, however often it is called until then,
  // for a rotation changes a thousand contexts one after the other.
  void changed();
  // Looks now: metrics, log, and when to look again.
  void update();

 private:
  enum class Stage : uint8_t { kGood, kEnding, kOver };
  struct State {
    WallTime not_before{}, not_after{};
    WallTime warn_at{};
    Stage told = Stage::kGood;
    stats::BlockRef<stats::CertificateStats> certificate;  // of its kind; none of what is too much
    stats::BlockRef<stats::TrustedCaStats> trusted_ca;
  };
  using Key = std::pair<CertificateKind, std::string>;
  using Items = std::map<Key, CertificateInForce>;

  [[nodiscard]] Items items() const;
  State& state_of(const Key& key, const CertificateInForce& item, WallTime now);
  static void set_gauges(const State& state, WallTime now);
  static Stage stage_of(const State& state, WallTime now) noexcept;
  static void log_stage(Stage stage, const CertificateInForce& item, WallTime now);

  io::Loop& loop_;
  stats::Registry& registry_;
  const ExpiryHost& host_;
  const std::function<WallTime()> clock_;
  std::map<Key, State> states_;
  size_t gauges_[2] = {};  // that there are, by kind
  io::Timer timer_ = io::Timer::of<&Expiry::update>(this);
};

}  // namespace pillion::certs
