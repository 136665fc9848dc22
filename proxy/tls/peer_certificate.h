#pragma once
// Makes the io::PeerCertificate of a certificate: a peer's, or our own.

#include <memory>

#include "proxy/io/peer_certificate.h"
#include "proxy/tls/x509_info.h"

struct stack_st_CRYPTO_BUFFER;

namespace pillion::tls {

// `info` describes `leaf`.  `chain` is what a peer sent, leaf first, and is held by the result;
// null: whom it describes needs no DER.
std::shared_ptr<const io::PeerCertificate> make_peer_certificate(
    const CertificateInfo& info, const x509_st& leaf, const stack_st_CRYPTO_BUFFER* chain);

}  // namespace pillion::tls
