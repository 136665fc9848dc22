#pragma once
// What becomes of ValidationConfigs after they were parsed (parse_validation in context_config.h).

#include <string>

#include "proxy/tls/context_config.h"

namespace pillion::tls {

// As protobuf's MergeFrom puts a CertificateValidationContext of SDS over the default one
// (CombinedCertificateValidationContext): lists are joined, and what is set in `over` wins.  The
// result is to be asked what_is_missing().
ValidationConfig merge(const ValidationConfig& base, const ValidationConfig& over);

// Why it proves nothing, or contradicts itself; empty if it is good.
std::string what_is_missing(const ValidationConfig& validation);

}  // namespace pillion::tls
