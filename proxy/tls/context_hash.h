#pragma once
// Under which sessions resume: a hash of all that decides whether a peer is let in, and as whom.
// (Context::fingerprint, by which whole Contexts are shared, is in the same file.)

#include <vector>

#include "proxy/tls/context.h"
#include "proxy/tls/context_config.h"

namespace pillion::tls {

// BoringSSL's session id context, as Envoy has it: role, the whole validation context (CAs, trust
// domains, names, pins, revocation lists, depth, what is ignored) and whether a certificate is
// demanded; and our own certificates, so that a session does not outlive the key that proved who we
// are: the certificates themselves, or, with given ticket keys, their names, subjects and issuers.
Sha256 session_context(const ContextConfig& config,
                       const std::vector<Context::Identity>& identities);

}  // namespace pillion::tls
