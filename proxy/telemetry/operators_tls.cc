// Operators that look at TLS: what the peer and we have shown, and what was agreed on.
#include <string>
#include <vector>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/base/url_pem.h"
#include "proxy/telemetry/operators.h"
#include "proxy/tls/x509_info.h"

namespace pillion::telemetry {
namespace {

using core::StreamInfo;
using io::PeerCertificate;
using io::PeerIdentity;

using Side = const PeerIdentity* (*)(const StreamInfo&);
const PeerIdentity* of_downstream(const StreamInfo& info) {
  return info.connection == nullptr ? nullptr : info.connection->identity;
}
const PeerIdentity* of_upstream(const StreamInfo& info) { return info.upstream.identity; }

template <Side kSide, std::string_view PeerIdentity::* kMember>
Value fact(const Operation&, const StreamInfo& info, Scratch&) {
  const PeerIdentity* identity = kSide(info);
  return identity == nullptr ? Value() : Value::text_or_none(identity->*kMember);
}

// ---- certificates: the peer's, or ours ----

using Whose = const PeerCertificate* PeerIdentity::*;
constexpr Whose kPeer = &PeerIdentity::certificate;
constexpr Whose kOurs = &PeerIdentity::local;

template <Side kSide, Whose kWhose>
const PeerCertificate* certificate(const StreamInfo& info) {
  const PeerIdentity* identity = kSide(info);
  return identity == nullptr ? nullptr : identity->*kWhose;
}

template <Side kSide, Whose kWhose, std::string PeerCertificate::* kMember>
Value text(const Operation&, const StreamInfo& info, Scratch&) {
  const PeerCertificate* c = certificate<kSide, kWhose>(info);
  return c == nullptr ? Value() : Value::text_or_none(c->*kMember);
}

// Texts that do not fit into Scratch; each lives until its thread makes the next one, so a Value is
// written first.
std::string& long_text() {
  thread_local std::string text;
  text.clear();
  return text;
}

// Several names are joined by commas, as Envoy does.
template <Side kSide, Whose kWhose, std::vector<std::string> PeerCertificate::* kNames>
Value names(const Operation&, const StreamInfo& info, Scratch&) {
  const PeerCertificate* c = certificate<kSide, kWhose>(info);
  if (c == nullptr || (c->*kNames).empty()) return {};
  const std::vector<std::string>& all = c->*kNames;
  if (all.size() == 1) return Value::text_or_none(all.front());
  std::string& joined = long_text();
  for (const std::string& name : all) {
    if (!joined.empty()) joined += ',';
    joined += name;
  }
  return std::string_view(joined);
}

template <Side kSide>
Value pem(const Operation&, const StreamInfo& info, Scratch&) {
  const PeerCertificate* c = certificate<kSide, kPeer>(info);
  if (c == nullptr || c->chain.empty()) return {};
  std::string& out = long_text();
  out.resize(url_pem_room(c->chain.front().size()));
  const char* const end = write_url_pem(out.data(), c->chain.front());
  return std::string_view(out.data(), static_cast<size_t>(end - out.data()));
}

template <Side kSide, int64_t PeerCertificate::* kWhen>
Value moment(const Operation& op, const StreamInfo& info, Scratch& scratch) {
  const PeerCertificate* c = certificate<kSide, kPeer>(info);
  if (c == nullptr) return {};
  const WallTime time = tls::wall_time(c->*kWhen);
  return std::string_view(scratch.bytes, op.time->format(time, scratch.bytes));
}

template <Side kSide>
Value session_id(const Operation&, const StreamInfo& info, Scratch& scratch) {
  const PeerIdentity* identity = kSide(info);
  if (identity == nullptr || identity->session_id.empty()) return {};
  constexpr size_t kLongest = 32;  // RFC 5246, 7.4.1.2
  char* out = scratch.bytes;
  for (const char c : identity->session_id.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    *out++ = kHexDigits[byte >> 4];
    *out++ = kHexDigits[byte & 15];
  }
  return std::string_view(scratch.bytes, static_cast<size_t>(out - scratch.bytes));
}

// The same for both sides; Envoy has no fingerprints, serials and mail addresses of upstreams, and
// nothing is wrong with them.
#define TLS_ROWS(PREFIX, kSide)                                                       \
  {PREFIX "_PEER_URI_SAN", names<kSide, kPeer, &PeerCertificate::uri_sans>},          \
      {PREFIX "_PEER_DNS_SAN", names<kSide, kPeer, &PeerCertificate::dns_sans>},      \
      {PREFIX "_PEER_IP_SAN", names<kSide, kPeer, &PeerCertificate::ip_sans>},        \
      {PREFIX "_PEER_EMAIL_SAN", names<kSide, kPeer, &PeerCertificate::email_sans>},  \
      {PREFIX "_PEER_SUBJECT", text<kSide, kPeer, &PeerCertificate::subject>},        \
      {PREFIX "_PEER_ISSUER", text<kSide, kPeer, &PeerCertificate::issuer>},          \
      {PREFIX "_PEER_SERIAL", text<kSide, kPeer, &PeerCertificate::serial>},          \
      {PREFIX "_PEER_FINGERPRINT_256", text<kSide, kPeer, &PeerCertificate::sha256>}, \
      {PREFIX "_PEER_FINGERPRINT_1", text<kSide, kPeer, &PeerCertificate::sha1>},     \
      {PREFIX "_PEER_CERT", pem<kSide>},                                              \
      {PREFIX "_PEER_CERT_V_START", moment<kSide, &PeerCertificate::not_before>,      \
       Arguments::kOptional, compile_utc_time},                                       \
      {PREFIX "_PEER_CERT_V_END", moment<kSide, &PeerCertificate::not_after>,         \
       Arguments::kOptional, compile_utc_time},                                       \
      {PREFIX "_LOCAL_URI_SAN", names<kSide, kOurs, &PeerCertificate::uri_sans>},     \
      {PREFIX "_LOCAL_DNS_SAN", names<kSide, kOurs, &PeerCertificate::dns_sans>},     \
      {PREFIX "_LOCAL_IP_SAN", names<kSide, kOurs, &PeerCertificate::ip_sans>},       \
      {PREFIX "_LOCAL_EMAIL_SAN", names<kSide, kOurs, &PeerCertificate::email_sans>}, \
      {PREFIX "_LOCAL_SUBJECT", text<kSide, kOurs, &PeerCertificate::subject>},       \
      {PREFIX "_TLS_VERSION", fact<kSide, &PeerIdentity::tls_version>},               \
      {PREFIX "_TLS_CIPHER", fact<kSide, &PeerIdentity::cipher>},                     \
      {PREFIX "_TLS_GROUP", fact<kSide, &PeerIdentity::group>}, {                     \
    PREFIX "_TLS_SESSION_ID", session_id<kSide>                                       \
  }

constexpr OperatorRow kRows[] = {
    TLS_ROWS("DOWNSTREAM", of_downstream),
    TLS_ROWS("UPSTREAM", of_upstream),
    {"UPSTREAM_SERVER_NAME", fact<of_upstream, &PeerIdentity::sni>},
};
#undef TLS_ROWS

}  // namespace

std::span<const OperatorRow> tls_operators() { return kRows; }

}  // namespace pillion::telemetry
