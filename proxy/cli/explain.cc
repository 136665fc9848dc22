#include "proxy/cli/explain.h"

#include <algorithm>

#include "proxy/base/str.h"
#include "proxy/cli/explain_parts.h"
#include "proxy/config/scalars.h"
#include "proxy/config/suggest.h"
#include "proxy/core/chain_matcher.h"
#include "proxy/core/network_filter.h"
#include "proxy/http/h1_parser.h"
#include "proxy/io/peer_certificate.h"

namespace pillion::cli {
namespace {

using core::FilterChain;
using core::ListenerConfig;
using Direction = core::ListenerConfig::Direction;

// For documentation (RFC 5737): stands for what nobody told us.
constexpr const char* kSomeClient = "198.51.100.1";

// A head, and the bytes that it points into.
struct ParsedHead {
  std::string bytes;
  Arena arena;
  http::RequestHead head{arena};
};

// By the parser of the data path, so that what it refuses is refused here.
Status<> parse_head(const ExplainRequest& request, ParsedHead& out) {
  const std::string_view url = request.url;
  const size_t begin = url.find("://") + 3;
  const std::string_view authority = url.substr(begin, url.find_first_of("/?", begin) - begin);
  const bool has_host = std::ranges::any_of(request.headers, [](const std::string& line) {
    return equals_ignore_case(line.substr(0, line.find(':')), "host");
  });
  const std::string_view rest = url.substr(begin + authority.size());
  out.bytes = str(request.method, ' ', rest.starts_with('/') ? "" : "/", rest, " HTTP/1.1\r\n");
  if (!has_host) out.bytes += str("host: ", authority, "\r\n");
  for (const std::string& line : request.headers) out.bytes += line + "\r\n";
  out.bytes += "\r\n";
  const http::H1Limits limits;
  http::H1RequestParser parser;
  parser.begin();
  if (parser.parse(out.bytes.data(), out.bytes.size(), limits, out.head) ==
      http::ParseStatus::kDone)
    return Ok{};
  const std::string_view why = failure_row(parser.failure()).body;
  return Error{str("this request would be refused: ", trim(why.substr(0, why.find('\n'))))};
}

// Of none that is named the one that calls go out by; with a caller, the one that he comes in by.
Result<const ListenerConfig*> find_listener(const Snapshot& snapshot,
                                            const ExplainRequest& request) {
  const std::string& name = request.listener;
  const auto& all = snapshot.listeners;
  if (all.empty()) return Error{"the configuration has no listener"};
  if (name.empty()) {
    const Direction wanted = request.caller.empty() ? Direction::kOutbound : Direction::kInbound;
    const auto first = std::ranges::find(all, wanted, [](const auto& l) { return l->direction; });
    return first != all.end() ? first->get() : all.front().get();
  }
  const auto it = std::ranges::find(all, name, [](const auto& l) { return l->name; });
  if (it != all.end()) return it->get();
  std::vector<std::string_view> names;
  for (const auto& each : all) names.push_back(each->name);
  std::string there_are;
  for (const std::string_view each : names) there_are += str(there_are.empty() ? "" : ", ", each);
  const std::string meant = config::did_you_mean(name, names);
  return Error{str("there is no listener \"", config::printable(name), '"',
                   meant.empty() ? str(" (there are: ", there_are, ')') : meant)};
}

// host and port of "http://users:8080/x".
Result<config::AddressText> authority_of(std::string_view url) {
  const size_t begin = url.find("://") + 3;
  const std::string authority(url.substr(begin, url.find_first_of("/?", begin) - begin));
  if (auto given = config::parse_address(authority)) return given;
  auto with_default =
      config::parse_address(authority + (url.starts_with("https:") ? ":443" : ":80"));
  if (with_default) return with_default;
  return Error{
      str("expected a host, or host:port, in the URL, got \"", config::printable(authority), '"')};
}

// Who connects, and where it meant to go.
core::ConnectionInfo make_connection(const ListenerConfig& listener, const ExplainRequest& request,
                                     const config::AddressText& to,
                                     const io::PeerIdentity* identity, Lines& lines) {
  core::ConnectionInfo info;
  info.identity = identity;
  const bool is_outbound = listener.direction == Direction::kOutbound;
  info.remote = request.source.kind() != io::Address::Kind::kNone
                    ? request.source
                    : *io::Address::parse_ip(is_outbound ? "127.0.0.1" : kSomeClient, 0);
  info.local = listener.address;
  if (request.destination.kind() != io::Address::Kind::kNone) {
    info.local = request.destination;
  } else if (listener.original_dst_filter) {
    const bool is_ip = to.kind == config::AddressText::Kind::kIp;
    info.local = *io::Address::parse_ip(is_ip ? std::string_view(to.host) : kSomeServer, to.port);
    if (!is_ip)
      lines.push_back(str("destination: port ", to.port, " of some address of ", to.host));
  }
  return info;
}

std::string chain_name(const FilterChain& chain) {
  return chain.name.empty() ? std::string("without a name") : chain.name;
}

core::Sniffed sniff(const ListenerConfig& listener, uint16_t port, bool is_tls,
                    std::string_view host) {
  core::Sniffed sniffed;
  const core::Inspectors inspectors = core::inspectors_of(listener, port);
  if (inspectors.tls && is_tls) {
    sniffed.is_tls = true;
    sniffed.server_name = host;
  }
  if (inspectors.http && !is_tls) sniffed.alpn = {"http/1.1", "http/1.0"};
  return sniffed;
}

// Which chain, and what decided it.  Null: the connection is closed.
const FilterChain* choose_chain(const ListenerConfig& listener,
                                const core::ConnectionInfo& connection, bool is_tls,
                                std::string_view host, Lines& lines) {
  if (listener.lacks_config) {
    lines.push_back(
        "listener filters: the configuration of one comes by ECDS, and none has come; the "
        "connection "
        "is closed");
    return nullptr;
  }
  const auto* chain = core::match_chain(listener, connection,
                                        sniff(listener, connection.local.port(), is_tls, host));
  const std::string_view spoken = is_tls ? "TLS" : "plain text";
  if (chain == nullptr) {
    lines.push_back(str("filter chain: none fits ", spoken, " to port ", connection.local.port(),
                        " from ", connection.remote.ip_string(), "; the connection is closed"));
    const auto* other = core::match_chain(listener, connection,
                                          sniff(listener, connection.local.port(), !is_tls, host));
    if (other != nullptr) {
      lines.push_back(str(is_tls ? "plain text" : "TLS", " would take ", chain_name(**other),
                          is_tls ? "" : " (--tls)"));
    }
    return nullptr;
  }
  const bool is_default = chain == &listener.default_chain;
  lines.push_back(
      str("filter chain: ", chain_name(**chain),
          is_default ? ", the default, because no other fits " : ", the most specific one for ",
          spoken, " to port ", connection.local.port(), " from ", connection.remote.ip_string()));
  if ((*chain)->tls != nullptr) lines.push_back("downstream: TLS ends here");
  return chain->get();
}

}  // namespace

Result<ExplainRequest> parse_explain_request(std::string_view text) {
  ExplainRequest request;
  const std::string_view all = trim(text);
  const size_t space = all.find(' ');
  request.method = space == std::string_view::npos ? "GET" : all.substr(0, space);
  request.url = trim(space == std::string_view::npos ? all : all.substr(space));
  const bool has_scheme = request.url.starts_with("http://") || request.url.starts_with("https://");
  if (!has_scheme || request.url.find(' ') != std::string::npos) {
    return Error{str("expected METHOD URL, such as GET http://users/users/7, got \"",
                     config::printable(text), '"')};
  }
  request.is_tls = request.url.starts_with("https://");
  return request;
}

Result<std::vector<std::string>> explain(const Snapshot& snapshot, const ExplainRequest& request,
                                         Facts* facts) {
  const Known known{snapshot, facts};
  const auto to = authority_of(request.url);
  if (!to) return Error{to.error()};
  const auto listener = find_listener(snapshot, request);
  if (!listener) return Error{listener.error()};
  ParsedHead parsed;
  if (auto ok = parse_head(request, parsed); !ok) return Error{ok.error()};

  Lines lines;
  lines.push_back(str("listener: ", (*listener)->name, ", at ", (*listener)->address.to_string()));
  if (facts != nullptr) facts->listener((*listener)->name, lines);
  io::PeerCertificate certificate;
  if (!request.caller.empty()) certificate.uri_sans.emplace_back(request.caller);
  io::PeerIdentity identity;
  identity.certificate = &certificate;
  identity.uri_san = request.caller;
  identity.sni = to->host;
  identity.presented = identity.verified = !request.caller.empty();
  const core::ConnectionInfo connection =
      make_connection(**listener, request, *to, request.is_tls ? &identity : nullptr, lines);
  const FilterChain* chain = choose_chain(**listener, connection, request.is_tls, to->host, lines);
  if (chain == nullptr) return lines;
  for (const auto& filter : chain->network_filters) {
    const core::FilterExplanation said = filter->explain({connection, connection.sni()});
    if (!said.text.empty()) lines.push_back(str("connection: ", said.text));
    if (said.refuses) return lines;
  }
  if (const auto* http = std::get_if<std::shared_ptr<const core::HcmConfig>>(&chain->terminal)) {
    if (request.is_tls && chain->tls == nullptr) {
      lines.push_back("TLS is not HTTP: the bytes are refused with 400");
      return lines;
    }
    explain_http(known, **http, connection, parsed.head, lines);
  } else if (const auto* tcp =
                 std::get_if<std::shared_ptr<const core::TcpProxyConfig>>(&chain->terminal)) {
    const bool is_opened = chain->tls != nullptr || !request.is_tls;
    explain_tcp(known, **tcp, connection, is_opened ? Content::kPlain : Content::kClientsTls,
                lines);
  } else {
    lines.push_back("the chain has no filter that does anything: the connection is closed");
  }
  return lines;
}

}  // namespace pillion::cli
