#include "proxy/cli/ca_authority.h"

#include "proxy/base/str.h"
#include "proxy/cli/ca_files.h"
#include "proxy/tls/pem.h"

namespace pillion::cli {

std::string cert_file(const std::string& dir) { return dir + "/ca.crt"; }
std::string key_file(const std::string& dir) { return dir + "/ca.key"; }

Result<Authority> load_authority(const std::string& dir) {
  constexpr std::string_view kScheme = "spiffe://";
  if (!file_exists(key_file(dir)) && !file_exists(cert_file(dir))) {
    return Error{
        str("no CA in ", dir, ": run `pillion ca init --dir ", dir, " --trust-domain NAME` first")};
  }
  Authority ca;
  auto certificate = read_file(cert_file(dir));
  if (!certificate) return Error{certificate.error()};
  auto key = read_file(key_file(dir));
  if (!key) return Error{key.error()};
  ca.files = {std::move(*certificate), std::move(*key)};
  if (auto ok = tls::check_key_matches(ca.files.certificate_pem, ca.files.key_pem); !ok) {
    return Error{str(cert_file(dir), " with ", key_file(dir), ": ", ok.error())};
  }
  ca.info = tls::describe_pem(ca.files.certificate_pem).value().front();
  if (!ca.info.is_ca) return Error{str(cert_file(dir), " is not the certificate of a CA")};
  const std::string_view uri = ca.info.first(tls::SanType::kUri);
  if (!uri.starts_with(kScheme)) {
    return Error{str(cert_file(dir), " names no trust domain (a URI SAN spiffe://TRUST_DOMAIN)")};
  }
  ca.trust_domain = uri.substr(kScheme.size());
  if (ca.info.not_after <= tls::unix_seconds()) {
    return Error{str("the CA in ", dir, " expired at ", tls::utc_text(ca.info.not_after),
                     ": remove ca.crt and ca.key and run `pillion ca init` again")};
  }
  return ca;
}

}  // namespace pillion::cli
