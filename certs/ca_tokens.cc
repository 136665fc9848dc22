#include "certs/ca_tokens.h"

#include <algorithm>

#include "proxy/base/base64.h"
#include "proxy/base/json.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "proxy/tls/spiffe_id.h"

namespace pillion::certs {
namespace {

constexpr size_t kMaxTokens = 10'000;
constexpr size_t kMaxJsonDepth = 16;

// How long it takes says nothing of how much of it is right.
bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  unsigned different = 0;
  for (size_t i = 0; i < a.size(); ++i)
    different |= static_cast<unsigned>(static_cast<uint8_t>(a[i]) ^ static_cast<uint8_t>(b[i]));
  return different == 0;
}

// The subject of a JWT as its payload says it.
std::string subject_of(std::string_view token) {
  const size_t first = token.find('.');
  const size_t second = first == token.npos ? first : token.find('.', first + 1);
  if (second == token.npos) return {};
  const auto payload = decode_base64url(token.substr(first + 1, second - first - 1));
  if (!payload) return {};
  const auto json = JsonDocument::parse(*payload, kMaxJsonDepth);
  return json ? std::string(json->root()["sub"].as_string()) : std::string();
}

bool is_blank(char c) noexcept { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view next_word(std::string_view& line) {
  while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
  const auto end = std::find_if(line.begin(), line.end(), is_blank);
  const std::string_view word = line.substr(0, static_cast<size_t>(end - line.begin()));
  line.remove_prefix(word.size());
  return word;
}

}  // namespace

Result<CaTokens> CaTokens::parse(std::string_view text, std::string_view trust_domain) {
  CaTokens out{std::string(trust_domain)};
  for (size_t number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::string_view id = next_word(line);
    if (id.empty() || id.front() == '#') continue;
    const std::string_view token = next_word(line);
    const auto domain = tls::trust_domain_of(id);
    // What stands there may be the token: it is not shown.
    if (!domain) {
      return Error{str("line ", number, ": expected SPIFFE-ID TOKEN, such as spiffe://",
                       trust_domain, "/ns/shop/sa/users 7e1c...")};
    }
    if (*domain != trust_domain) {
      return Error{str("line ", number, ": ", config::printable(id, 200),
                       " is of another trust domain than the CA, which is for ", trust_domain)};
    }
    if (token.empty()) return Error{str("line ", number, ": no token behind the SPIFFE id")};
    if (!next_word(line).empty())
      return Error{str("line ", number, ": expected two words, got more")};
    const bool is_double =
        std::ranges::any_of(out.entries_, [token](const Entry& e) { return e.token == token; });
    if (is_double) return Error{str("line ", number, ": its token stands there twice")};
    if (out.entries_.size() == kMaxTokens)
      return Error{str("line ", number, ": more than ", kMaxTokens, " tokens")};
    out.entries_.push_back({std::string(id), std::string(token)});
  }
  if (out.entries_.empty()) return Error{"no token in it (expected lines of SPIFFE-ID TOKEN)"};
  return out;
}

CaTokens CaTokens::believe_any(std::string trust_domain) {
  CaTokens out(std::move(trust_domain));
  out.believes_any_ = true;
  return out;
}

std::optional<std::string> CaTokens::identity_of(std::string_view token) const {
  if (believes_any_) return believed(token);
  const Entry* found = nullptr;
  for (const Entry& entry : entries_) {
    if (equal_in_constant_time(entry.token, token)) found = &entry;
  }
  if (found == nullptr) return std::nullopt;
  return found->id;
}

// Kubernetes calls a service account system:serviceaccount:NAMESPACE:NAME, and Istio makes
// spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/NAME of it.
std::optional<std::string> CaTokens::believed(std::string_view token) const {
  constexpr std::string_view kAccount = "system:serviceaccount:";
  std::string id(token);
  if (!tls::claims_to_be_spiffe(token)) id = subject_of(token);
  if (id.starts_with(kAccount)) {
    const std::string_view account = std::string_view(id).substr(kAccount.size());
    const size_t colon = account.find(':');
    if (colon == account.npos) return std::nullopt;
    id = str("spiffe://", trust_domain_, "/ns/", account.substr(0, colon), "/sa/",
             account.substr(colon + 1));
  }
  const auto domain = tls::trust_domain_of(id);
  if (!domain || *domain != trust_domain_) return std::nullopt;
  return id;
}

}  // namespace pillion::certs
