#include "proxy/core/client_cert_header.h"

#include <cstring>

namespace pillion::core {
namespace {

// Text that grows in the arena; `room` is the most it can become.
class ArenaText {
 public:
  ArenaText(Arena& arena, size_t room) : begin_(arena.allocate_array<char>(room)), end_(begin_) {}
  ArenaText& operator<<(std::string_view text) {
    if (!text.empty()) std::memcpy(end_, text.data(), text.size());
    end_ += text.size();
    return *this;
  }
  // Quotes and backslashes escaped.
  void quoted(std::string_view text) {
    *end_++ = '"';
    for (const char c : text) {
      if (c == '"' || c == '\\') *end_++ = '\\';
      *end_++ = c;
    }
    *end_++ = '"';
  }
  // A value with a separator in it is quoted (Envoy's XFCC grammar).
  void value(std::string_view text) {
    if (text.find_first_of(",;=\"") == std::string_view::npos) {
      *this << text;
    } else {
      quoted(text);
    }
  }
  [[nodiscard]] std::string_view view() const {
    return {begin_, static_cast<size_t>(end_ - begin_)};
  }

 private:
  char* begin_;
  char* end_;
};

void write_element(ArenaText& out, const io::PeerIdentity& peer, const ClientCertDetails& details) {
  if (!peer.local_uri_san.empty()) {
    out << "By=";
    out.value(peer.local_uri_san);
    out << ";";
  }
  out << "Hash=" << peer.sha256;
  if (details.subject) {
    out << ";Subject=";
    out.quoted(peer.subject);
  }
  if (details.uri) {
    out << ";URI=";
    out.value(peer.uri_san);
  }
  if (details.dns && !peer.dns_san.empty()) {
    out << ";DNS=";
    out.value(peer.dns_san);
  }
}

size_t most_bytes(const io::PeerIdentity& peer) {
  constexpr size_t kNames = 64;  // all "By=" and ";Subject=" with their quotes
  return kNames + peer.sha256.size() +
         2 * (peer.local_uri_san.size() + peer.subject.size() + peer.uri_san.size() +
              peer.dns_san.size());
}

}  // namespace

void set_client_cert_header(http::Headers& headers, const HcmConfig& config,
                            const ConnectionInfo& connection) {
  using http::HeaderId;
  if (config.forward_client_cert == ForwardClientCert::kAlwaysForwardOnly) return;
  const io::PeerIdentity* peer = connection.identity;
  const bool proven = peer != nullptr && peer->presented && peer->verified;
  const bool sanitize = config.forward_client_cert == ForwardClientCert::kSanitize ||
                        config.forward_client_cert == ForwardClientCert::kSanitizeSet;
  // Fields from a peer without a certificate prove nothing.
  if (sanitize || !proven) headers.remove(HeaderId::kXForwardedClientCert);
  if (!proven) return;
  const bool set = config.forward_client_cert == ForwardClientCert::kSanitizeSet ||
                   config.forward_client_cert == ForwardClientCert::kAppendForward;
  if (!set) return;
  constexpr std::string_view kName = "x-forwarded-client-cert";
  size_t room = most_bytes(*peer);
  headers.for_each_of(kName, [&room](const http::Field& f) { room += f.value.size() + 1; });
  ArenaText text(headers.arena(), room);
  headers.for_each_of(kName, [&text](const http::Field& f) { text << f.value << ","; });
  write_element(text, *peer, config.client_cert_details);
  headers.set(HeaderId::kXForwardedClientCert, text.view());
}

}  // namespace pillion::core
