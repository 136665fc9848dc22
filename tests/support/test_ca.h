#pragma once
// TestCa: makes certificates for tests of what runs over TLS.
//
//   const TestCa ca;
//   config.certificates = {ca.certificate("spiffe://mesh.local/ns/shop/sa/users")};
//   config.validation = ca.validation();

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/tls/context_config.h"
#include "proxy/tls/issue.h"

namespace pillion::testing {

inline int64_t now_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(wall_now().time_since_epoch()).count();
}

class TestCa {
 public:
  using Tweak = std::function<void(tls::CertificateRequest&)>;

  explicit TestCa(std::string name = "Test CA", const TestCa* parent = nullptr,
                  const Tweak& tweak = {}) {
    tls::CertificateRequest request;
    request.common_name = std::move(name);
    request.is_ca = true;
    own_ = make(std::move(request), tweak, parent);
    if (parent != nullptr && !parent->upper_.empty())
      upper_ = own_.certificate_pem + parent->upper_;
    if (parent != nullptr && parent->upper_.empty()) upper_ = own_.certificate_pem;
  }

  // A leaf for these names, valid from an hour ago until a day from now.
  [[nodiscard]] tls::Issued issue(std::vector<tls::San> sans, const Tweak& tweak = {}) const {
    tls::CertificateRequest request;
    request.sans = std::move(sans);
    tls::Issued leaf = make(std::move(request), tweak, this);
    leaf.certificate_pem += upper_;  // intermediates, not the root
    return leaf;
  }
  [[nodiscard]] tls::CertificateConfig certificate(const std::string& uri,
                                                   const std::string& dns = {}) const {
    std::vector<tls::San> sans;
    if (!uri.empty()) sans.push_back({tls::SanType::kUri, uri});
    if (!dns.empty()) sans.push_back({tls::SanType::kDns, dns});
    return as_config(issue(std::move(sans)));
  }
  static tls::CertificateConfig as_config(const tls::Issued& leaf) {
    return {leaf.certificate_pem, leaf.key_pem, "<test>"};
  }
  [[nodiscard]] tls::ValidationConfig validation() const {
    tls::ValidationConfig v;
    v.trusted_ca_pem = own_.certificate_pem;
    return v;
  }
  [[nodiscard]] const std::string& pem() const { return own_.certificate_pem; }
  [[nodiscard]] const tls::Issued& own() const { return own_; }

 private:
  static tls::Issued make(tls::CertificateRequest request, const Tweak& tweak, const TestCa* by) {
    request.not_before = now_seconds() - 3600;
    request.not_after = now_seconds() + 86400;
    if (tweak) tweak(request);
    auto issued = tls::issue(request, by == nullptr ? nullptr : &by->own_);
    if (!issued) throw std::runtime_error(issued.error());
    return *issued;
  }
  tls::Issued own_;
  std::string upper_;
};

}  // namespace pillion::testing
