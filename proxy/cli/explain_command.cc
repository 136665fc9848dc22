// The flags of `pillion explain`; what it does is in explain.h.
#include <cstdio>
#include <memory>

#include "proxy/base/str.h"
#include "proxy/builder/builder.h"
#include "proxy/cli/commands.h"
#include "proxy/cli/explain.h"
#include "proxy/cli/live_proxy.h"
#include "proxy/cli/parse.h"
#include "proxy/config/scalars.h"
#include "proxy/config/suggest.h"
#include "proxy/tls/spiffe_id.h"

namespace pillion::cli {
namespace {

struct ExplainFlags {
  std::string file;
  std::string admin;                 // empty: the file is asked
  std::vector<std::string> request;  // one text, or method and URL apart
  ExplainRequest details;
  Options options;
};

int fail(const std::string& why) {
  fprintf(stderr, "pillion explain: %s\n", why.c_str());
  return 1;
}

void print(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) fprintf(stdout, "%s\n", line.c_str());
}

// From a file: nothing runs.
int explain_file(const ExplainFlags& flags, const ExplainRequest& request) {
  // No connection is made, so nothing needs the files of certificates.
  config::Errors errors(flags.options.unknown_fields(), config::UnreadableFiles::kWarn);
  Options options = flags.options;
  options.config_path = flags.file;
  const auto snapshot = build_snapshot(options, {}, errors);
  fputs(errors.to_string().c_str(), stderr);
  fputs(errors.to_string(config::Severity::kWarning).c_str(), stderr);
  if (snapshot == nullptr) return 1;
  const auto lines = explain(*snapshot, request);
  if (!lines) return fail(lines.error());
  print(*lines);
  return 0;
}

// From the admin interface of a proxy that runs.
int explain_live(const std::string& url, const ExplainRequest& request) {
  const auto client = AdminClient::parse(url);
  if (!client) return fail(str("--admin: expected ", client.error()));
  LiveProxy proxy(*client);
  if (const auto loaded = proxy.load(); !loaded) return fail(loaded.error());
  Lines lines;
  proxy.process(lines);
  const auto said = explain(proxy.snapshot(), request, &proxy);
  if (said) lines.insert(lines.end(), said->begin(), said->end());
  proxy.certificates(lines);
  proxy.leftovers(lines);
  print(lines);
  return said ? 0 : fail(said.error());
}

int run_explain(const ExplainFlags& flags) {
  std::vector<std::string> words = flags.request;
  // Of a proxy that runs no file is needed: all words are the request.
  if (!flags.admin.empty()) words.insert(words.begin(), flags.file);
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  auto request = parse_explain_request(text);
  if (!request) return fail(request.error());
  request->headers = flags.details.headers;
  request->listener = flags.details.listener;
  request->source = flags.details.source;
  request->destination = flags.details.destination;
  request->caller = flags.details.caller;
  if (!request->caller.empty() && !tls::trust_domain_of(request->caller))
    return fail(
        str("--as: expected a SPIFFE id, such as spiffe://mesh.local/ns/shop/sa/users, got ",
            config::printable(request->caller)));
  request->is_tls = request->is_tls || flags.details.is_tls || !request->caller.empty();
  return flags.admin.empty() ? explain_file(flags, *request) : explain_live(flags.admin, *request);
}

// "10.0.0.1" or "10.0.0.1:80".
Result<io::Address> parse_ip(std::string_view text) {
  if (auto bare = io::Address::parse_ip(text, 0)) return bare;
  const auto full = config::parse_address(text);
  if (full && full->kind == config::AddressText::Kind::kIp)
    return io::Address::parse_ip(full->host, full->port);
  return Error{"an IP address, with a port or without"};
}

}  // namespace

void add_explain(CLI::App& root, Command& command) {
  CLI::App* app = root.add_subcommand(
      "explain", "Says what would happen to a request, and why; nothing is sent.");
  auto flags = std::make_shared<ExplainFlags>();
  app->add_option("FILE", flags->file, "the configuration; none with --admin")
      ->type_name("")
      ->required();
  CLI::Option* request =
      app->add_option("REQUEST", flags->request, "such as: GET http://users/users/7")
          ->type_name("")
          ->required()
          ->expected(-1);
  // Then what stands at the place of FILE is the request, or its first word.
  app->add_option_function<std::string>(
         "--admin",
         [flags, request](const std::string& url) {
           flags->admin = url;
           request->required(false);
         },
         "admin interface of a running proxy to ask, such as http://127.0.0.1:15000")
      ->type_name("URL");
  app->add_option("-H,--header", flags->details.headers,
                  "\"name: value\"; may be given more than once")
      ->type_name("FIELD")
      ->allow_extra_args(false);
  app->add_option("--listener", flags->details.listener,
                  "that the client connects to (default: the outbound one)")
      ->type_name("NAME");
  add_parsed(*app, "--source", flags->details.source, "address of the client", parse_ip)
      ->type_name("ADDR");
  add_parsed(*app, "--destination", flags->details.destination,
             "address that the client meant (SO_ORIGINAL_DST)", parse_ip)
      ->type_name("ADDR");
  app->add_option("--as", flags->details.caller,
                  "identity that the client proves, such as spiffe://mesh.local/ns/shop/sa/users")
      ->type_name("SPIFFE-ID");
  app->add_flag("--tls", flags->details.is_tls, "the connection is TLS, though the URL says http");
  app->add_flag("--allow-unknown-static-fields", flags->options.allow_unknown_static_fields,
                "unknown fields are warnings, not errors");
  app->callback([&command, flags] { command.action = [flags] { return run_explain(*flags); }; });
}

}  // namespace pillion::cli
