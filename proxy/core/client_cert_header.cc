#include "proxy/core/client_cert_header.h"

#include <cstring>

#include "proxy/base/url_pem.h"
#include "proxy/core/xfcc.h"

namespace pillion::core {
namespace {

constexpr std::string_view kName = "x-forwarded-client-cert";

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
  void value(std::string_view text) {
    if (needs_xfcc_quotes(text)) return quoted(text);
    *this << text;
  }
  void pem(std::string_view der) { end_ = write_url_pem(end_, der); }
  [[nodiscard]] std::string_view view() const {
    return {begin_, static_cast<size_t>(end_ - begin_)};
  }

 private:
  char* begin_;
  char* end_;
};

// Our own element: what it says, how much room that takes, and how it is written.
class Element {
 public:
  Element(const io::PeerIdentity& peer, const ClientCertDetails& details)
      : peer_(peer), details_(details) {
    if (peer.certificate == nullptr || peer.certificate->chain.empty()) return;
    const auto& chain = peer.certificate->chain;
    size_t bytes = 0;
    for (const std::string_view der : chain) bytes += der.size();
    // Heads have limits behind us, too: a chain that fills them is left out.
    has_cert_ = details.cert && chain.front().size() <= kMostDer;
    has_chain_ = details.chain && bytes <= kMostDer;
  }

  [[nodiscard]] size_t room() const {
    size_t room = 0;
    const auto add = [&room](std::string_view key, std::string_view value) {
      room += key.size() + 2 * value.size() + 4;  // ;Key="v"
    };
    each(add);
    if (has_cert_ || has_chain_) {
      for (const std::string_view der : peer_.certificate->chain)
        room += 2 * (url_pem_room(der.size()) + 16);
    }
    return room;
  }

  void write(ArenaText& out) const {
    std::string_view separator;
    each([&](std::string_view key, std::string_view value) {
      out << separator << key << "=";
      separator = ";";
      if (key == "Subject") return out.quoted(value);
      out.value(value);
      if (key == "Hash") write_pem(out);
    });
  }

 private:
  static constexpr size_t kMostDer = 16 * 1024;  // half as much again as text

  // Envoy's order; of names all, and URI without any.
  template <typename Visit>
  void each(Visit&& visit) const {
    each_name(peer_.local, &io::PeerCertificate::uri_sans,
              [&](std::string_view name) { visit("By", name); });
    visit("Hash", peer_.sha256);
    if (details_.subject) visit("Subject", peer_.subject);
    if (details_.uri) {
      if (peer_.uri_san.empty()) visit("URI", "");
      each_name(peer_.certificate, &io::PeerCertificate::uri_sans,
                [&](std::string_view name) { visit("URI", name); });
    }
    if (details_.dns) {
      each_name(peer_.certificate, &io::PeerCertificate::dns_sans,
                [&](std::string_view name) { visit("DNS", name); });
    }
  }
  template <typename Visit>
  static void each_name(const io::PeerCertificate* certificate,
                        std::vector<std::string> io::PeerCertificate::* names, Visit&& visit) {
    if (certificate == nullptr) return;
    for (const std::string& name : certificate->*names) visit(name);
  }
  void write_pem(ArenaText& out) const {
    if (has_cert_) {
      out << ";Cert=\"";
      out.pem(peer_.certificate->chain.front());
      out << "\"";
    }
    if (has_chain_) {
      out << ";Chain=\"";
      for (const std::string_view der : peer_.certificate->chain) out.pem(der);
      out << "\"";
    }
  }

  const io::PeerIdentity& peer_;
  const ClientCertDetails& details_;
  bool has_cert_ = false;
  bool has_chain_ = false;
};

// What stands there must not swallow what comes behind it, as a quote without an end would.
bool can_be_appended_to(const http::Headers& headers) {
  bool is_sound = true;
  headers.for_each_of(kName, [&is_sound](const http::Field& f) {
    is_sound = is_sound && is_well_formed_xfcc(f.value);
  });
  return is_sound;
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
  if (!can_be_appended_to(headers)) headers.remove(HeaderId::kXForwardedClientCert);
  const Element element(*peer, config.client_cert_details);
  size_t room = element.room();
  headers.for_each_of(kName, [&room](const http::Field& f) { room += f.value.size() + 1; });
  ArenaText text(headers.arena(), room);
  headers.for_each_of(kName, [&text](const http::Field& f) { text << f.value << ","; });
  element.write(text);
  headers.set(HeaderId::kXForwardedClientCert, text.view());
}

}  // namespace pillion::core
