#pragma once
// The development CA as it lies in its folder: what all of `pillion ca` but init begin with.

#include <string>

#include "proxy/base/result.h"
#include "proxy/tls/issue.h"
#include "proxy/tls/x509_info.h"

namespace pillion::cli {

std::string cert_file(const std::string& dir);
std::string key_file(const std::string& dir);

struct Authority {
  tls::Issued files;
  std::string trust_domain;
  tls::CertificateInfo info;
};

// Whole and usable now, or what is wrong with it and what to do.
Result<Authority> load_authority(const std::string& dir);

}  // namespace pillion::cli
