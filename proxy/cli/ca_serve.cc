#include "proxy/cli/ca_serve.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>

#include "certs/ca_server.h"
#include "proxy/base/str.h"
#include "proxy/cli/ca_authority.h"
#include "proxy/cli/ca_files.h"
#include "proxy/config/scalars.h"
#include "proxy/io/acceptor.h"
#include "proxy/io/signals.h"
#include "proxy/tls/context.h"

namespace pillion::cli {
namespace {

using tls::SanType;

class Stopper final : public io::SignalObserver {
 public:
  explicit Stopper(io::Loop& loop) : loop_(loop) {}
  void on_signal(int) override { loop_.stop(); }

 private:
  io::Loop& loop_;
};

Result<certs::CaTokens> load_tokens(const CaServeOptions& options, const Authority& ca) {
  const bool has_file = !options.token_file.empty();
  if (has_file == options.insecure_any_token) {
    return Error{
        "give --token-file FILE (lines of SPIFFE-ID TOKEN), or, for tests only, "
        "--insecure-any-token, which signs for whoever asks"};
  }
  if (!has_file) return certs::CaTokens::believe_any(ca.trust_domain);
  const auto text = read_file(options.token_file);
  if (!text) return Error{text.error()};
  auto tokens = certs::CaTokens::parse(*text, ca.trust_domain);
  if (!tokens) return Error{str(options.token_file, ": ", tokens.error())};
  return tokens;
}

Result<io::Address> listen_address(const CaServeOptions& options) {
  const auto text = config::parse_address(options.listen);
  const bool is_name = text && text->kind == config::AddressText::Kind::kName;
  if (!text || is_name) {
    return Error{str("--listen ", options.listen,
                     ": expected IP:PORT or unix:PATH, such as 127.0.0.1:15012")};
  }
  if (text->kind == config::AddressText::Kind::kUnix) return io::Address::unix_path(text->host);
  return io::Address::parse_ip(text->host, text->port);
}

// The certificate of the server itself: its key lives in memory, for as long as the process does.
Result<std::shared_ptr<const tls::Context>> server_context(const CaServeOptions& options,
                                                           const Authority& ca,
                                                           const io::Address& address) {
  tls::CertificateRequest request;
  request.sans = {{SanType::kDns, "localhost"}, {SanType::kIp, "127.0.0.1"}, {SanType::kIp, "::1"}};
  for (const std::string& name : options.dns) {
    if (!config::is_dns_name(name)) return Error{str("--dns ", name, ": expected a host name")};
    request.sans.push_back({SanType::kDns, name});
  }
  if (!address.is_any() && !address.is_loopback())
    request.sans.push_back({SanType::kIp, tls::canonical_ip(address.ip_string())});
  request.not_before = ca.info.not_before;
  request.not_after = ca.info.not_after;
  request.for_client = false;
  const auto own = tls::issue(request, &ca.files);
  if (!own) return Error{own.error()};
  tls::ContextConfig config;
  config.role = tls::Role::kServer;
  config.alpn = {"h2"};
  tls::CertificateConfig& certificate = config.certificates.emplace_back();
  certificate.chain_pem = own->certificate_pem;
  certificate.key_pem = own->key_pem;
  certificate.source = "<own>";
  return tls::Context::make(config);
}

Result<int> listen_on(const io::Address& address) {
  io::ListenOptions options;
  options.reuse_port = false;  // a second CA on this port is a mistake
  return io::open_listener(address, options);
}

Status<> serve(const CaServeOptions& options) {
  if (options.ttl < std::chrono::seconds(1)) return Error{"--ttl: expected at least 1s"};
  auto ca = load_authority(options.dir);
  if (!ca) return Error{ca.error()};
  auto tokens = load_tokens(options, *ca);
  if (!tokens) return Error{tokens.error()};
  const auto address = listen_address(options);
  if (!address) return Error{address.error()};
  std::shared_ptr<const tls::Context> tls;
  if (address->is_ip()) {
    auto context = server_context(options, *ca, *address);
    if (!context) return Error{context.error()};
    tls = std::move(*context);
  }
  const certs::CaService service({ca->files, ca->info.not_before, ca->info.not_after},
                                 std::move(*tokens),
                                 std::chrono::floor<std::chrono::seconds>(options.ttl));
  io::Loop loop;
  io::WriteBatch batch{loop};
  const auto fd = listen_on(*address);
  if (!fd) return Error{str("--listen ", options.listen, ": ", fd.error())};
  certs::CaServer server(loop, batch, *fd, service, tls);
  Stopper stopper(loop);
  {
    const io::Signals signals(loop, {SIGTERM, SIGINT}, stopper);
    const io::Address shown = address->is_ip() ? server.address() : *address;
    printf("the CA of %s serves on %s (%s)\n", ca->trust_domain.c_str(), shown.to_string().c_str(),
           tls != nullptr ? "TLS" : "clear text");
    fflush(stdout);
    loop.run();
  }
  server.close();
  for (int turn = 0; turn < 2; ++turn) loop.run_once(false);
  if (address->kind() == io::Address::Kind::kUnix) ::unlink(std::string(address->path()).c_str());
  return Ok{};
}

}  // namespace

int run_ca_serve(const CaServeOptions& options) {
  const Status<> done = serve(options);
  if (done) return 0;
  fprintf(stderr, "pillion ca serve: %s\n", done.error().c_str());
  return 1;
}

}  // namespace pillion::cli
