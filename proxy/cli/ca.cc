#include "proxy/cli/ca.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "proxy/base/str.h"
#include "proxy/cli/ca_authority.h"
#include "proxy/cli/ca_files.h"
#include "proxy/tls/issue.h"
#include "proxy/tls/spiffe_id.h"
#include "proxy/tls/x509_info.h"

namespace pillion::cli {
namespace {

using tls::SanType;

constexpr uint32_t kMaxDays = 36'500;
constexpr int64_t kDay = 86'400;
// Certificates begin a little in the past: the clocks of two machines differ.
constexpr int64_t kClockSkew = 300;

std::string days_error(uint32_t days) {
  if (days >= 1 && days <= kMaxDays) return {};
  return str("--days: expected 1 to ", kMaxDays, ", got ", days);
}

bool is_dns_name(std::string_view name) {
  if (name.starts_with("*.")) name.remove_prefix(2);
  if (name.empty() || name.size() > 253) return false;
  size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_';
    if (!good || ++label > 63) return false;
  }
  return label > 0;
}

Result<tls::CertificateRequest> leaf_request(const CaIssueOptions& options, const Authority& ca) {
  auto domain = tls::trust_domain_of(options.spiffe);
  if (!domain) return Error{str("--spiffe ", options.spiffe, ": ", domain.error())};
  if (*domain != ca.trust_domain) {
    return Error{str("--spiffe ", options.spiffe, ": its trust domain is ", *domain, ", the CA in ",
                     options.dir, " is for ", ca.trust_domain)};
  }
  tls::CertificateRequest request;
  request.sans.push_back({SanType::kUri, options.spiffe});
  for (const std::string& name : options.dns) {
    if (!is_dns_name(name)) return Error{str("--dns ", name, ": expected a host name")};
    request.sans.push_back({SanType::kDns, name});
  }
  for (const std::string& text : options.ips) {
    std::string ip = tls::canonical_ip(text);
    if (ip.empty()) return Error{str("--ip ", text, ": expected an IP address")};
    request.sans.push_back({SanType::kIp, std::move(ip)});
  }
  request.not_before = std::max(tls::unix_seconds() - kClockSkew, ca.info.not_before);
  request.not_after = std::min(tls::unix_seconds() + options.days * kDay, ca.info.not_after);
  return request;
}

Status<> init(const CaInitOptions& options) {
  if (options.dir.empty()) return Error{"--dir: expected a folder"};
  if (std::string why = tls::trust_domain_error(options.trust_domain); !why.empty()) {
    return Error{str("--trust-domain ", options.trust_domain, ": ", why)};
  }
  if (std::string why = days_error(options.days); !why.empty()) return Error{why};
  if (file_exists(key_file(options.dir)) || file_exists(cert_file(options.dir))) {
    auto ca = load_authority(options.dir);
    if (!ca)
      return Error{
          str(ca.error(), " (not overwritten; choose another --dir or remove both files)")};
    if (ca->trust_domain != options.trust_domain) {
      return Error{str("the CA in ", options.dir, " is for the trust domain ", ca->trust_domain,
                       ": choose another --dir for ", options.trust_domain)};
    }
    printf("the CA in %s is complete already: trust domain %s, valid until %s\n",
           options.dir.c_str(), ca->trust_domain.c_str(),
           tls::utc_text(ca->info.not_after).c_str());
    return Ok{};
  }
  tls::CertificateRequest request;
  // Names of subjects have at most 64 characters (RFC 5280, A.1).
  request.common_name = options.trust_domain.substr(0, 61) + " CA";
  request.sans.push_back({SanType::kUri, str("spiffe://", options.trust_domain)});
  request.not_before = tls::unix_seconds() - kClockSkew;
  request.not_after = tls::unix_seconds() + options.days * kDay;
  request.is_ca = true;
  request.path_length = 0;
  auto made = tls::issue(request, nullptr);
  if (!made) return Error{made.error()};
  if (auto ok = make_folder(options.dir); !ok) return ok;
  if (auto ok = create_file(key_file(options.dir), made->key_pem, 0600); !ok) return ok;
  if (auto ok = create_file(cert_file(options.dir), made->certificate_pem, 0644); !ok) {
    ::unlink(key_file(options.dir).c_str());
    return ok;
  }
  printf("made a CA in %s: trust domain %s, valid until %s\n", options.dir.c_str(),
         options.trust_domain.c_str(), tls::utc_text(request.not_after).c_str());
  return Ok{};
}

Status<> issue_files(const CaIssueOptions& options) {
  if (options.out_cert.empty() || options.out_key.empty()) {
    return Error{"--out-cert and --out-key: expected a file each"};
  }
  if (options.out_cert == options.out_key)
    return Error{"--out-cert and --out-key are the same file"};
  if (std::string why = days_error(options.days); !why.empty()) return Error{why};
  auto ca = load_authority(options.dir);
  if (!ca) return Error{ca.error()};
  const auto same = [](const std::string& a, const std::string& b) {
    return std::filesystem::weakly_canonical(a) == std::filesystem::weakly_canonical(b);
  };
  if (same(options.out_cert, options.out_key)) {
    return Error{str(options.out_cert, ": certificate and key need a file each")};
  }
  for (const std::string& out : {options.out_cert, options.out_key}) {
    if (same(out, key_file(options.dir)) || same(out, cert_file(options.dir))) {
      return Error{str(out, " belongs to the CA: choose another output")};
    }
  }
  auto request = leaf_request(options, *ca);
  if (!request) return Error{request.error()};
  auto made = tls::issue(*request, &ca->files);
  if (!made) return Error{made.error()};
  if (auto ok = replace_file(options.out_key, made->key_pem, 0600); !ok) return ok;
  if (auto ok = replace_file(options.out_cert, made->certificate_pem, 0644); !ok) return ok;
  printf("issued %s: %s, valid until %s\n", options.out_cert.c_str(), options.spiffe.c_str(),
         tls::utc_text(request->not_after).c_str());
  return Ok{};
}

int finish(const char* command, const Status<>& done) {
  if (done) return 0;
  fprintf(stderr, "pillion ca %s: %s\n", command, done.error().c_str());
  return 1;
}

}  // namespace

int run_ca_init(const CaInitOptions& options) { return finish("init", init(options)); }
int run_ca_issue(const CaIssueOptions& options) { return finish("issue", issue_files(options)); }

}  // namespace pillion::cli
