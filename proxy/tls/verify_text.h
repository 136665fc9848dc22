#pragma once
// Refusals in words, for the two files of the Verifier.

#include <string>

#include "proxy/tls/verify.h"

namespace pillion::tls {

// A verdict that refuses; `reason` is cut to what a log line can bear, for the peer writes parts of
// it.
Verifier::Verdict refuse(Verifier::Outcome outcome, int alert, std::string reason);
// The name people know a certificate by: a URI or DNS SAN, else its subject.
std::string who(const x509_st& certificate);
// "peer certificate X", or "peer certificate X: its issuer Y" when `at` is not the leaf.
std::string who_of_path(const x509_st& leaf, const x509_st* at);

}  // namespace pillion::tls
