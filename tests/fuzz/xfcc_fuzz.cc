// x-forwarded-client-cert.  The input is a field of a client (up to the first NUL), and names in
// its certificate.  Reading ends; what is appended to a field that is well-formed is read as one
// more element, whose values are the names, whatever they are.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/core/client_cert_header.h"
#include "proxy/core/xfcc.h"

using namespace pillion;
using namespace pillion::core;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

struct Pair {
  std::string key, value;
};
using Elements = std::vector<std::vector<Pair>>;

std::string unescaped(const XfccPair& pair) {
  if (!pair.quoted) return std::string(pair.value);
  std::string out;
  for (size_t i = 0; i < pair.value.size(); ++i) {
    if (pair.value[i] == '\\') ++i;
    check(i < pair.value.size());
    out += pair.value[i];
  }
  return out;
}

// False: it is malformed.
bool read(std::string_view text, Elements& out) {
  XfccReader reader(text);
  out.emplace_back();
  for (XfccPair pair;;) {
    switch (reader.next(pair)) {
      case XfccReader::Step::kPair:
        out.back().push_back({std::string(pair.key), unescaped(pair)});
        break;
      case XfccReader::Step::kElement:
        out.emplace_back();
        break;
      case XfccReader::Step::kEnd:
        return true;
      case XfccReader::Step::kMalformed:
        check(reader.next(pair) == XfccReader::Step::kMalformed);
        return false;
    }
    check(out.size() <= text.size() + 1 && out.back().size() <= text.size());
  }
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) out += c;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4000) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view field = input.substr(0, std::min(input.find('\0'), input.size()));
  const std::string name = printable(input.substr(std::min(field.size() + 1, input.size())));
  Elements before;
  const bool is_sound = read(field, before);
  check(is_sound == is_well_formed_xfcc(field));

  io::PeerCertificate certificate;
  certificate.uri_sans = {"spiffe://a/b", name};
  certificate.dns_sans = {name};
  io::PeerIdentity identity;
  identity.presented = identity.verified = true;
  identity.certificate = identity.local = &certificate;
  identity.uri_san = certificate.uri_sans.front();
  identity.subject = name;
  identity.sha256 = "ab";
  ConnectionInfo connection;
  connection.identity = &identity;
  HcmConfig config;
  config.forward_client_cert = ForwardClientCert::kAppendForward;
  config.client_cert_details = {.subject = true, .dns = true, .uri = true};
  Arena arena;
  http::Headers headers(arena);
  headers.add(http::HeaderId::kXForwardedClientCert, field);
  set_client_cert_header(headers, config, connection);
  Elements after;
  check(read(headers.get(http::HeaderId::kXForwardedClientCert), after));
  check(after.size() == (is_sound ? before.size() : 0) + 1);
  const std::vector<Pair>& ours = after.back();
  const char* const keys[] = {"By", "By", "Hash", "Subject", "URI", "URI", "DNS"};
  check(ours.size() == std::size(keys));
  for (size_t i = 0; i < ours.size(); ++i) check(ours[i].key == keys[i]);
  for (const size_t i : {1u, 3u, 5u, 6u}) check(ours[i].value == name);
  return 0;
}
