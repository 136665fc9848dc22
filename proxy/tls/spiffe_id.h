#pragma once
// SPIFFE ids (SPIFFE-ID, section 2): what an identity in a certificate must look like.  One
// spelling: nothing is decoded, folded or trimmed, so that two ids are the same workload exactly
// when they are the same bytes.

#include <string>
#include <string_view>

#include "proxy/base/result.h"

namespace pillion::tls {

// "spiffe://mesh.local/ns/a" -> "mesh.local", or why it is no SPIFFE id of a workload.
Result<std::string> trust_domain_of(std::string_view id);
// Empty if `name` can be a trust domain (SPIFFE-ID, section 2.1), else why not.
std::string trust_domain_error(std::string_view name);
// Is the scheme "spiffe", in any case?  Such a URI must then be a good SPIFFE id.
bool claims_to_be_spiffe(std::string_view uri) noexcept;

}  // namespace pillion::tls
