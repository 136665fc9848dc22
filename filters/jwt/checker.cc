#include "filters/jwt/checker.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "proxy/base/base64.h"
#include "proxy/http/field_rules.h"

namespace pillion::filters::jwt {
namespace {

using core::MetadataMember;
using core::MetadataValue;
using Kind = Requirement::Kind;

uint64_t seconds_now() {
  const auto since = wall_now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(since).count());
}

std::string_view base64_text(std::string_view bytes, Arena& arena) {
  char* const text = arena.allocate_array<char>(base64_size(bytes.size()));
  return {text, static_cast<size_t>(write_base64(text, bytes) - text)};
}

// A claim's value as Envoy writes it: lists and objects as JSON in base64.  Empty: there is none.
std::string_view claim_text(const Json& value, Arena& arena) {
  switch (value.kind()) {
    case Json::Kind::kArray:
    case Json::Kind::kObject:
      return base64_text(value.dump(), arena);
    case Json::Kind::kString:
      return arena.copy(value.as_string());
    case Json::Kind::kBool:
      return value.as_bool() ? "true" : "false";
    case Json::Kind::kNumber:
      break;
    default:
      return {};
  }
  char text[400];  // the largest double has 309 digits before its point
  if (const auto integer = value.as_int(); integer && *integer >= 0) {
    const char* const end = std::to_chars(text, text + sizeof text, *integer).ptr;
    return arena.copy({text, static_cast<size_t>(end - text)});
  }
  const int size = std::snprintf(text, sizeof text, "%f", value.as_double());
  return arena.copy({text, static_cast<size_t>(std::max(size, 0))});
}

// "read write" -> ["read", "write"].
MetadataValue split_claim(std::string_view text, Arena& arena) {
  MetadataValue list;
  list.kind = MetadataValue::Kind::kList;
  MetadataMember** end = &list.first;
  while (!text.empty()) {
    const size_t size = std::min(text.find(' '), text.size());
    if (size != 0) {
      auto* const member = arena.create<MetadataMember>();
      member->value = MetadataValue::of(text.substr(0, size));
      *end = member;
      end = &member->next;
    }
    text.remove_prefix(std::min(size + 1, text.size()));
  }
  return list;
}

}  // namespace

void remove_forgeable(const Provider& provider, http::Headers& headers) {
  if (!provider.forward_payload_header.empty()) headers.remove(provider.forward_payload_header);
  for (const ClaimHeader& claim : provider.claim_headers) headers.remove(claim.header);
}

// ---- WorkerState ----

WorkerState::WorkerState(const core::FilterWorkerSetup& setup, const Providers& providers,
                         std::string_view stat_prefix)
    : stats(
          setup.registry.block<stats::JwtAuthnStats>(setup.writer, setup.stat_prefix, stat_prefix)),
      providers_(providers.list.size()) {}

const tls::JwkSetPtr& WorkerState::keys(const Provider& provider) {
  if (provider.remote_keys == nullptr) return provider.local_keys;
  OfProvider& mine = providers_[provider.index];
  if (const uint32_t version = provider.remote_keys->version(); version != mine.version) {
    mine.remote_keys = std::static_pointer_cast<const tls::JwkSet>(provider.remote_keys->value());
    mine.version = version;
  }
  return mine.remote_keys;
}

// ---- Checker ----

Checker::Checker(const Providers& providers, WorkerState& worker, core::FilterContext& context)
    : providers_(providers), worker_(worker), context_(context), now_(seconds_now()) {}

bool Checker::must_wait(const Requirement& requirement) {
  if (requirement.locations == nullptr) {
    return std::ranges::any_of(requirement.children,
                               [this](const Requirement& child) { return must_wait(child); });
  }
  if (requirement.provider != nullptr && !WorkerState::is_pending(*requirement.provider))
    return false;
  const auto found = requirement.locations->find(context_.request(), context_.arena());
  for (size_t i = 0; i < found.count; ++i) {
    Examined examined;
    if (examine(requirement, found.tokens[i], examined) == Status::kOk &&
        WorkerState::is_pending(*examined.provider)) {
      return true;
    }
  }
  return false;
}

Status Checker::check(const Requirement& requirement) {
  switch (requirement.kind) {
    case Kind::kNone:
      return Status::kOk;
    case Kind::kProvider:
      return check_provider(requirement);
    case Kind::kAny:
      return check_any(requirement);
    case Kind::kAll:
      return check_all(requirement);
    case Kind::kAllowMissing:
    case Kind::kAllowMissingOrFailed:
      return check_optional(requirement);
  }
  return Status::kVerificationFailed;
}

// Each token where the provider's may be must be one of its.  As in Envoy the last one is asked
// first, and what is wrong with it is the answer.
Status Checker::check_provider(const Requirement& leaf) {
  remove_forgeable(*leaf.provider, context_.request().headers);
  const auto found = leaf.locations->find(context_.request(), context_.arena());
  Status status = found.count == 0 ? Status::kMissing : Status::kOk;
  if (found.has_more) status = Status::kMultipleTokens;
  for (size_t i = found.count; i-- > 0 && status == Status::kOk;)
    status = verify(leaf, found.tokens[i]);
  if (status != Status::kOk) tell_failure(leaf.provider, status);
  return status;
}

// The first that is fulfilled.  If none is, an error that says more than "missing" or "not of that
// issuer" is the answer.
Status Checker::check_any(const Requirement& any) {
  Status final = Status::kMissing;
  for (const Requirement& child : any.children) {
    const Status status = check(child);
    if (status == Status::kOk) return status;
    const bool says_more = status != Status::kMissing && status != Status::kUnknownIssuer;
    if (says_more || final == Status::kMissing) final = status;
  }
  if (any.allows_failed || (any.allows_missing && final == Status::kMissing)) return Status::kOk;
  return final;
}

// The first failure; but one that is missing does not excuse one that is bad, also where a
// requirement around this one allows it to be missing.
Status Checker::check_all(const Requirement& all) {
  Status final = Status::kOk;
  for (const Requirement& child : all.children) {
    const Status status = check(child);
    if (status == Status::kOk) continue;
    if (status != Status::kMissing) return status;
    final = status;
  }
  return final;
}

// Tokens of all providers.  (With a bad and a good one Envoy's answer depends on their order; here
// one that is bad is enough.)
Status Checker::check_optional(const Requirement& leaf) {
  for (const auto& provider : providers_.list)
    remove_forgeable(*provider, context_.request().headers);
  const auto found = leaf.locations->find(context_.request(), context_.arena());
  Status worst = found.has_more ? Status::kMultipleTokens : Status::kOk;
  for (size_t i = found.count; i-- > 0;) {
    const Status status = verify(leaf, found.tokens[i]);
    if (worst == Status::kOk) worst = status;
  }
  return leaf.kind == Kind::kAllowMissingOrFailed ? Status::kOk : worst;
}

// ---- one token ----

Status Checker::verify(const Requirement& leaf, const FoundToken& found) {
  Examined examined;
  Status status = examine(leaf, found, examined);
  if (leaf.provider != nullptr)
    (examined.is_cached ? worker_.stats->jwt_cache_hit : worker_.stats->jwt_cache_miss).inc();
  if (status != Status::kOk) return status;
  const Provider& provider = *examined.provider;
  if (!examined.is_cached) {
    const tls::JwkSetPtr& keys = worker_.keys(provider);
    if (keys == nullptr)
      return provider.remote_keys != nullptr ? Status::kFetchFailed : Status::kNoValidKeys;
    status = examined.token->verify(*keys);
    if (status != Status::kOk) return status;
    const bool is_kept = leaf.provider != nullptr && provider.cache_size != 0 &&
                         found.text.size() <= provider.max_cached_token;
    if (is_kept)
      worker_.cache(provider).insert(examined.hash, examined.token, keys, provider.cache_size);
  }
  apply(provider, *examined.token, *found.location);
  return Status::kOk;
}

bool Checker::find_cached(const Provider& provider, std::string_view text, Examined& out) {
  if (provider.cache_size == 0 || text.size() > provider.max_cached_token) return false;
  out.hash = tls::sha256(text);
  out.token = worker_.cache(provider).find(out.hash, worker_.keys(provider).get());
  return out.token != nullptr;
}

Status Checker::examine(const Requirement& leaf, const FoundToken& found, Examined& out) {
  if (leaf.provider != nullptr) out.is_cached = find_cached(*leaf.provider, found.text, out);
  if (!out.is_cached) {
    auto token = std::make_shared<Token>();
    if (const Status status = token->parse(found.text); status != Status::kOk) return status;
    out.token = std::move(token);
  }
  const Status status = examine_claims(leaf, found, out);
  if (status == Status::kExpired && out.is_cached) worker_.cache(*out.provider).remove(out.hash);
  return status;
}

Status Checker::examine_claims(const Requirement& leaf, const FoundToken& found, Examined& out) {
  const Token& token = *out.token;
  if (!found.location->takes(token.issuer())) return Status::kUnknownIssuer;
  out.provider =
      leaf.provider != nullptr ? leaf.provider : providers_.find_by_issuer(token.issuer());
  if (out.provider == nullptr) return Status::kUnknownIssuer;
  const Provider& provider = *out.provider;
  if (const Status status = token.check_time(now_, provider.clock_skew); status != Status::kOk)
    return status;
  const Audiences& audiences = leaf.has_audiences ? leaf.audiences : provider.audiences;
  if (!audiences.allow(token.audiences())) return Status::kAudienceNotAllowed;
  if (provider.subjects && !provider.subjects->matches(token.subject()))
    return Status::kVerificationFailed;
  return check_lifetime(provider, token);
}

// As Envoy's: of what is left of a token's life, not of all of it, which `iat` may not tell.
Status Checker::check_lifetime(const Provider& provider, const Token& token) const {
  if (!provider.requires_expiration && !provider.max_lifetime) return Status::kOk;
  if (!token.expiration()) return Status::kVerificationFailed;
  if (!provider.max_lifetime || *token.expiration() <= now_) return Status::kOk;
  const uint64_t left = *token.expiration() - now_;
  const auto most = std::chrono::ceil<std::chrono::seconds>(*provider.max_lifetime);
  return left < static_cast<uint64_t>(most.count()) ? Status::kOk : Status::kVerificationFailed;
}

// ---- what a good token does ----

void Checker::apply(const Provider& provider, const Token& token, const Location& location) {
  http::RequestHead& head = context_.request();
  Arena& arena = context_.arena();
  if (!provider.forward_payload_header.empty()) {
    const std::string_view payload = token.payload_text();
    const size_t padding = provider.pads_payload ? (4 - payload.size() % 4) % 4 : 0;
    char* const text = arena.allocate_array<char>(payload.size() + padding);
    char* const end = std::ranges::copy(payload, text).out;
    std::fill_n(end, padding, '=');
    add_header(provider.forward_payload_header, {text, payload.size() + padding});
  }
  for (const ClaimHeader& claim : provider.claim_headers) add_claim(claim, token.payload());
  if (provider.clears_route_cache) clears_route_cache_ = true;
  if (!provider.forward) Locations::remove(location, head, arena);
  set_metadata(provider, token);
}

void Checker::add_header(std::string_view name, std::string_view value) {
  context_.request().headers.add(name, value);
}

void Checker::add_claim(const ClaimHeader& claim, const Json& payload) {
  Json value = payload;
  for (const std::string& segment : claim.path) value = value[segment];
  const std::string_view text = claim_text(value, context_.arena());
  // What could break out of a header does not get into one, whoever signed it.
  if (text.empty() || !http::is_bare_value(text)) return;
  add_header(claim.header, text);
}

void Checker::set_metadata(const Provider& provider, const Token& token) {
  Arena& arena = context_.arena();
  if (!provider.header_in_metadata.empty()) {
    context_.set_metadata(kMetadataSpace, provider.header_in_metadata,
                          core::metadata_of(token.header(), arena));
  }
  if (provider.payload_in_metadata.empty()) return;
  const MetadataValue payload = core::metadata_of(token.payload(), arena);
  for (MetadataMember* member = payload.first; member != nullptr; member = member->next) {
    const bool is_list = std::ranges::find(provider.space_delimited_claims, member->key) !=
                         provider.space_delimited_claims.end();
    if (is_list && member->value.kind == MetadataValue::Kind::kString)
      member->value = split_claim(member->value.text, arena);
  }
  context_.set_metadata(kMetadataSpace, provider.payload_in_metadata, payload);
}

void Checker::tell_failure(const Provider* provider, Status status) {
  if (provider->failed_status_in_metadata.empty()) return;
  Arena& arena = context_.arena();
  auto* const code = arena.create<MetadataMember>();
  auto* const message = arena.create<MetadataMember>();
  char digits[4];
  const char* const end =
      std::to_chars(digits, digits + sizeof digits, static_cast<unsigned>(status)).ptr;
  code->key = "code";
  code->value = MetadataValue::of(arena.copy({digits, static_cast<size_t>(end - digits)}));
  code->next = message;
  message->key = "message";
  message->value = MetadataValue::of(text_of(status));
  MetadataValue failed;
  failed.kind = MetadataValue::Kind::kStruct;
  failed.first = code;
  context_.set_metadata(kMetadataSpace, provider->failed_status_in_metadata, failed);
}

}  // namespace pillion::filters::jwt
