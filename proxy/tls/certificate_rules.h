#pragma once
// What a certificate of a peer must be like, beside standing in a chain that leads to a trusted CA
// (which is the library's to judge).  The library reads certificates as browsers must: it lets
// weak keys, SHA-1, repeated extensions and names with NUL pass.  Nobody in a mesh needs those, and
// each of them has let somebody in somewhere.
//
// Functions of one certificate, without state.  Peers write what is judged here.

#include <cstdint>
#include <optional>
#include <string>

#include "proxy/base/result.h"
#include "proxy/tls/context_config.h"

struct x509_st;

namespace pillion::tls {

// What is wrong with a certificate: the alert that says so, and words that follow its name
// ("has an RSA key of 1024 bits, at least 2048 are needed").
struct Fault {
  uint8_t alert;
  std::string text;
};

// Its form: version, serial number, dates, extensions, names, key and signature (RFC 5280, 4.1 and
// 4.2; RFC 9155 on SHA-1).  `is_trusted`: it is one of the trusted CAs, whose signature proves
// nothing and is not looked at.
std::optional<Fault> fault_of_form(const x509_st& certificate, bool is_trusted);

// The trust domain of a leaf: of its SPIFFE id, which is its only URI SAN (X509-SVID, section 2).
Result<std::string, Fault> trust_domain_of_leaf(const x509_st& leaf);

// Its use by a peer as its own: key usage, extended key usage, no authority, and of a SPIFFE id the
// rules of X509-SVID (sections 2 to 4).  `ours` is our role.  `is_trusted`: it is one of the
// trusted CAs, as a self-signed certificate has to be; it may then be an authority.
// `needs_spiffe_id`: it must have one.
std::optional<Fault> fault_of_leaf(const x509_st& leaf, Role ours, bool is_trusted,
                                   bool needs_spiffe_id);

}  // namespace pillion::tls
