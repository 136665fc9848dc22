// What BoringSSL's X.509 errors mean for the person who reads the log.
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "proxy/base/str.h"
#include "proxy/tls/certificate_rules.h"
#include "proxy/tls/verify.h"
#include "proxy/tls/verify_text.h"

namespace pillion::tls {

Verifier::Verdict refuse(Verifier::Outcome outcome, int alert, std::string reason) {
  constexpr size_t kMaxReason = 600;
  if (reason.size() > kMaxReason) reason = reason.substr(0, kMaxReason) + "...";
  return {outcome, static_cast<uint8_t>(alert), std::move(reason), nullptr};
}

std::string who(const x509_st& certificate) {
  const CertificateInfo info = describe(certificate);
  std::string_view name = info.first(SanType::kUri);
  if (name.empty()) name = info.first(SanType::kDns);
  if (name.empty()) name = info.subject;
  if (name.empty()) return "without a name";
  // What is wrong with it comes behind it, and has to fit.
  constexpr size_t kMaxName = 200;
  return str(name.substr(0, kMaxName), name.size() > kMaxName ? "..." : "");
}

std::string who_of_path(const x509_st& leaf, const x509_st* at) {
  std::string text = str("peer certificate ", who(leaf));
  if (at != nullptr && X509_cmp(at, &leaf) != 0) {
    text += str(": its issuer ", name_text(X509_get_subject_name(at)));
  }
  return text;
}

namespace {

// What follows the name of the certificate `at`.
std::string words_for(int error, const x509_st& at, Role ours) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return str("has expired: it was valid until ", utc_text(describe(at).not_after));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return str("is not valid before ", utc_text(describe(at).not_before), " (is a clock wrong?)");
    case X509_V_ERR_INVALID_PURPOSE:
      return str("may not be used as a TLS ", ours == Role::kServer ? "client" : "server",
                 " (key usage or extended key usage)");
    case X509_V_ERR_INVALID_CA:
      return "is not trusted: it is no authority (basic constraints, key usage)";
    case X509_V_ERR_CERT_REVOKED:
      return "was revoked";
    case X509_V_ERR_UNABLE_TO_GET_CRL:
      return "is not trusted: there is no revocation list of its issuer";
    case X509_V_ERR_CRL_HAS_EXPIRED:
      return "is not trusted: the revocation list of its issuer has expired";
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return "is not trusted: its signature is wrong";
    case X509_V_ERR_PERMITTED_VIOLATION:
    case X509_V_ERR_EXCLUDED_VIOLATION:
      return "is not trusted: its CA may not vouch for that name (name constraints)";
    default:
      return str("is not trusted: ", X509_verify_cert_error_string(error));
  }
}

bool lacks_issuer(int error) noexcept {
  switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return true;
    default:
      return false;
  }
}

}  // namespace

Verifier::Verdict Verifier::explain(x509_store_ctx_st& context, const Bundle& bundle,
                                    const x509_st& leaf) const {
  const int error = X509_STORE_CTX_get_error(&context);
  const X509* at = X509_STORE_CTX_get_current_cert(&context);
  std::string text = who_of_path(leaf, at);
  const x509_st& named = at == nullptr ? leaf : *at;
  if (lacks_issuer(error)) {
    // The library stops at the limit and finds no issuer there.
    const size_t limit = size_t{max_depth()} + 2;
    if (sk_X509_num(X509_STORE_CTX_get0_chain(&context)) >= limit) {
      return refuse(Outcome::kChain, SSL_AD_UNKNOWN_CA,
                    str(text, " is not trusted: its chain is longer than max_verify_depth (",
                        max_depth(), ')'));
    }
    const X509* trusted = bundle.cas.empty() ? nullptr : bundle.cas.front().get();
    text += str(" is not trusted: no trusted CA issued it (issuer ",
                name_text(X509_get_issuer_name(&named)), ", trusted ",
                trusted == nullptr ? "none" : name_text(X509_get_subject_name(trusted)), ')');
    return refuse(Outcome::kChain, SSL_alert_from_verify_result(error), std::move(text));
  }
  // An authority that cannot be read, or signs as MD5 did, says more than the error that follows.
  bool is_trusted = false;
  for (const X509Ptr& ca : bundle.cas) is_trusted |= X509_cmp(ca.get(), &named) == 0;
  if (const auto fault = fault_of_form(named, is_trusted)) {
    return refuse(Outcome::kChain, fault->alert, str(text, ' ', fault->text));
  }
  text += ' ';
  text += words_for(error, named, role_);
  return refuse(Outcome::kChain, SSL_alert_from_verify_result(error), std::move(text));
}

}  // namespace pillion::tls
