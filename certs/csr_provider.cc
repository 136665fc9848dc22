#include "certs/csr_provider.h"

#include <algorithm>
#include <utility>

#include "certs/ca_messages.h"
#include "certs/svid.h"
#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "proxy/tls/data_source.h"
#include "proxy/tls/pem.h"
#include "proxy/tls/wipe.h"
#include "proxy/tls/x509_info.h"

namespace pillion::certs {
namespace {

constexpr size_t kMaxAnswer = size_t{1} << 20;
constexpr size_t kMaxToken = size_t{64} << 10;
constexpr Duration kPatience = std::chrono::seconds(10);
constexpr size_t kMostFormerRoots = 4;

// What stands in a header field must be visible ASCII; a token is nothing else.
Result<std::string> read_token(const std::string& file) {
  auto text = tls::read_file(file);
  if (!text) return Error{str("cannot read the token ", file, ": ", text.error())};
  tls::Wiped held(std::move(*text));
  std::string_view token = held.text;
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.remove_suffix(1);
  const bool is_token = !token.empty() && token.size() <= kMaxToken &&
                        std::ranges::all_of(token, [](char c) { return c > ' ' && c < 0x7f; });
  if (!is_token) return Error{str("the token ", file, " is empty, or no token")};
  return std::string(token);
}

// A root, or several of them: an intermediate authority is no end of a chain.
bool is_self_issued(std::string_view pem) {
  const auto certificates = tls::describe_pem(pem);
  return certificates &&
         std::ranges::all_of(*certificates, [](const auto& c) { return c.subject == c.issuer; });
}

}  // namespace

CsrProvider::CsrProvider(const ProviderContext& context, tls::SecretSource::Authority options)
    : context_(context),
      options_(std::move(options)),
      call_(context.host.cluster_client(), *this, kMaxAnswer),
      renewal_(context.loop, context.rng, *this),
      maker_(context.loop, *this),
      watches_(context.loop, *this) {}

CsrProvider::~CsrProvider() { tls::wipe(request_.key_pem); }

void CsrProvider::want(const tls::SecretRef& ref) {
  const tls::SecretName name = ref.key();
  if (ref.kind != tls::SecretKind::kCertificate && ref.kind != tls::SecretKind::kValidation) {
    context_.store.fail(name, str("a CA has no ", to_string(ref.kind)));
    return context_.store.give_up(name);
  }
  const bool is_first = wanted_.empty();
  wanted_.insert(name);
  if (received_.identity != nullptr) put(name);
  if (is_first) {
    if (!options_.ca_file.empty()) watches_.set({options_.ca_file});
    renew_trust();
  }
  if (is_first && !call_.is_open() && !renewal_.is_armed() && !maker_.is_busy()) ask();
}

void CsrProvider::unwant(const tls::SecretName& name) {
  wanted_.erase(name);
  if (wanted_.empty()) stop();
}

// What was received stays: who comes back has it until the next answer.
void CsrProvider::stop() {
  call_.close();
  renewal_.cancel();
  maker_.cancel();
  trust_timer_.cancel();
  watches_.clear();
  tls::wipe(request_.key_pem);
}

void CsrProvider::ask() {
  // No key is made for a request that nobody will see.
  auto token = read_token(options_.token_file);
  if (!token) return fail(token.error());
  tls::wipe(*token);
  std::vector<tls::San> sans;
  if (!options_.identity.empty()) sans.push_back({tls::SanType::kUri, options_.identity});
  maker_.start(options_.key, std::move(sans));
}

void CsrProvider::on_request_made(Result<tls::SigningRequest> made) {
  if (!made) return fail(made.error());
  tls::wipe(request_.key_pem);
  request_ = std::move(*made);
  if (const Status<> sent = send_request(); !sent) fail(sent.error());
}

Status<> CsrProvider::send_request() {
  auto token = read_token(options_.token_file);
  if (!token) return Error{token.error()};
  const tls::Wiped bearer(str("Bearer ", *token));
  tls::wipe(*token);
  answer_.clear();
  const upstream::CallField metadata[] = {{"authorization", bearer.text}};
  call_.open({.cluster = options_.cluster.value,
              .path = kCreateCertificate,
              .authority = options_.authority,
              .metadata = metadata,
              .timeout = kPatience});
  call_.send(
      encode_certificate_request(
          {request_.csr_pem, std::chrono::floor<std::chrono::seconds>(options_.ttl).count()}),
      true);
  return Ok{};
}

void CsrProvider::on_grpc_end(const upstream::GrpcEnd& end) {
  const Status<> done =
      end.status == upstream::kGrpcOk ? accept() : Status<>(Error{str("the CA: ", end.reason)});
  tls::wipe(request_.key_pem);
  answer_.clear();
  if (!done) fail(done.error());
}

Status<> CsrProvider::accept() {
  auto chain = decode_certificate_response(answer_);
  if (!chain || chain->empty()) return Error{"the CA's answer has no certificate"};
  // The root is the last one, and is no part of what peers are shown.
  const bool has_root = chain->size() > 1 && is_self_issued(chain->back());
  const std::string_view root = has_root ? chain->back() : std::string_view();
  if (has_root) chain->pop_back();
  tls::CertificateConfig identity;
  for (const std::string_view part : *chain) identity.chain_pem += str(part, '\n');
  const WallTime now = wall_now();
  const auto svid = check_svid(identity.chain_pem, request_.key_pem, now);
  if (!svid) return Error{str("the CA's answer: ", svid.error())};
  if (!options_.trust_domain.empty() && svid->trust_domain != options_.trust_domain) {
    return Error{str("the CA's answer is for the trust domain ", svid->trust_domain, ", not ",
                     options_.trust_domain)};
  }
  if (options_.ca_file.empty()) {
    if (root.empty()) return Error{"the CA's answer has no root, and no file names one"};
    if (const auto ok = check_bundle(root); !ok)
      return Error{str("the root of the CA's answer: ", ok.error())};
    if (!received_.root.empty() && received_.root != root)
      former_roots_.push_back({received_.root, received_.not_after});
  }
  auto trust = trust_of(root, now);
  if (!trust) return Error{trust.error()};
  identity.key_pem = request_.key_pem;
  identity.source = str("csr/", options_.cluster.value);
  received_.identity = std::make_shared<const tls::Secret>(std::move(identity));
  received_.trust = std::make_shared<const tls::Secret>(std::move(*trust));
  received_.root = root;
  received_.not_after = svid->not_after;
  log::debug(log::kTls, "certificate received",
             {{"cluster", options_.cluster.value},
              {"identity", svid->id},
              {"valid_for", svid->not_after - now}});
  // From now, not from where it begins: CAs date back for the sake of late clocks.
  renewal_.succeeded(now, now, svid->not_after);
  for (const tls::SecretName& name : wanted_) put(name);
  return Ok{};
}

Result<tls::ValidationConfig> CsrProvider::trust_of(std::string_view root, WallTime now) {
  tls::ValidationConfig out;
  if (options_.ca_file.empty()) {
    std::erase_if(former_roots_, [&](const FormerRoot& former) {
      return former.until <= now || former.pem == root;
    });
    if (former_roots_.size() > kMostFormerRoots) former_roots_.erase(former_roots_.begin());
    out.trusted_ca_pem = root;
    WallTime next = now + kLongestSleep;
    for (const FormerRoot& former : former_roots_) {
      out.trusted_ca_pem += str('\n', former.pem);
      next = std::min(next, former.until);
    }
    out.trusted_ca_source = str("csr/", options_.cluster.value);
    if (!former_roots_.empty()) context_.loop.arm(trust_timer_, next - now);
  } else {
    auto text = tls::read_file(options_.ca_file);
    if (!text) return Error{str("cannot read ", options_.ca_file, ": ", text.error())};
    out.trusted_ca_pem = std::move(*text);
    out.trusted_ca_source = options_.ca_file;
  }
  if (const auto ok = check_bundle(out.trusted_ca_pem); !ok)
    return Error{str("whom to trust (", out.trusted_ca_source, "): ", ok.error())};
  return out;
}

// The file has changed, or a former root's time may be over.
void CsrProvider::renew_trust() {
  if (received_.identity == nullptr) return;
  auto trust = trust_of(received_.root, wall_now());
  if (!trust) return fail_trust(trust.error());
  received_.trust = std::make_shared<const tls::Secret>(std::move(*trust));
  for (const tls::SecretName& name : wanted_)
    if (name.kind == tls::SecretKind::kValidation) put(name);
}

void CsrProvider::on_file_gone(const std::string& path) { fail_trust(str(path, " is gone")); }

void CsrProvider::fail_trust(std::string_view reason) {
  for (const tls::SecretName& name : wanted_)
    if (name.kind == tls::SecretKind::kValidation) context_.store.fail(name, reason);
}

void CsrProvider::fail(std::string_view reason) {
  renewal_.failed();
  for (const tls::SecretName& name : wanted_) context_.store.fail(name, reason);
}

void CsrProvider::put(const tls::SecretName& name) {
  const bool is_identity = name.kind == tls::SecretKind::kCertificate;
  const tls::SecretPtr& secret = is_identity ? received_.identity : received_.trust;
  if (const auto taken = context_.store.put(name, {secret, {}}); !taken)
    context_.store.fail(name, taken.error());
}

}  // namespace pillion::certs
