// The flags of `pillion ca`; what it does is in ca.h.
#include <memory>

#include "proxy/cli/ca.h"
#include "proxy/cli/ca_serve.h"
#include "proxy/cli/commands.h"
#include "proxy/cli/parse.h"
#include "proxy/config/scalars.h"

namespace pillion::cli {
namespace {

constexpr uint64_t kMaxDays = 36500;

void add_init(CLI::App& ca, Command& command) {
  CLI::App* app =
      ca.add_subcommand("init", "Makes a certificate authority: DIR/ca.crt and DIR/ca.key.");
  auto options = std::make_shared<CaInitOptions>();
  app->add_option("--dir", options->dir, "where it lives; made if it is not there")
      ->type_name("DIR")
      ->required();
  app->add_option("--trust-domain", options->trust_domain,
                  "of the identities it signs, such as mesh.local")
      ->type_name("NAME")
      ->required();
  add_number(*app, "--days", options->days, "until it expires (default: 3650)", 1, kMaxDays);
  app->callback(
      [&command, options] { command.action = [options] { return run_ca_init(*options); }; });
}

void add_issue(CLI::App& ca, Command& command) {
  CLI::App* app = ca.add_subcommand("issue", "Makes the certificate and key of one workload.");
  auto options = std::make_shared<CaIssueOptions>();
  app->add_option("--dir", options->dir, "of the authority (see init)")
      ->type_name("DIR")
      ->required();
  app->add_option("--spiffe", options->spiffe,
                  "identity, such as spiffe://mesh.local/ns/shop/sa/users")
      ->type_name("URI")
      ->required();
  app->add_option("--dns", options->dns, "further name; may be given more than once")
      ->type_name("NAME")
      ->allow_extra_args(false);
  app->add_option("--ip", options->ips, "further address; may be given more than once")
      ->type_name("ADDR")
      ->allow_extra_args(false);
  add_number(*app, "--days", options->days, "until it expires (default: 90)", 1, kMaxDays);
  app->add_option("--out-cert", options->out_cert, "where the certificate goes")
      ->type_name("FILE")
      ->required();
  app->add_option("--out-key", options->out_key, "where the key goes")
      ->type_name("FILE")
      ->required();
  app->callback(
      [&command, options] { command.action = [options] { return run_ca_issue(*options); }; });
}

void add_serve(CLI::App& ca, Command& command) {
  CLI::App* app = ca.add_subcommand(
      "serve", "Signs for workloads that show a token (Istio's CA API): for demos and tests.");
  auto options = std::make_shared<CaServeOptions>();
  app->add_option("--dir", options->dir, "of the authority (see init)")
      ->type_name("DIR")
      ->required();
  app->add_option("--listen", options->listen,
                  "where: IP:PORT speaks TLS, unix:PATH does not (default: 127.0.0.1:15012)")
      ->type_name("ADDR");
  app->add_option("--token-file", options->token_file,
                  "who may ask: lines of SPIFFE-ID TOKEN; each token is for that identity alone")
      ->type_name("FILE");
  app->add_flag("--insecure-any-token", options->insecure_any_token,
                "instead, for tests: believes a token that is a SPIFFE id, or a JWT's subject, "
                "and checks nothing");
  add_parsed(*app, "--ttl", options->ttl, "the longest life of a certificate (default: 24h)",
             config::parse_duration)
      ->type_name("TIME");
  app->add_option("--dns", options->dns,
                  "a name that clients call it by, for its own certificate, beside localhost; may "
                  "be given more than once")
      ->type_name("NAME")
      ->allow_extra_args(false);
  app->callback(
      [&command, options] { command.action = [options] { return run_ca_serve(*options); }; });
}

}  // namespace

void add_ca(CLI::App& root, Command& command) {
  CLI::App* ca = root.add_subcommand(
      "ca", "A CA for development and tests: makes it, issues certificates, serves.");
  ca->require_subcommand(1);
  add_init(*ca, command);
  add_issue(*ca, command);
  add_serve(*ca, command);
}

}  // namespace pillion::cli
