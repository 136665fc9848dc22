#pragma once
// CaTokens: who a caller of the development CA is, by his bearer token.
//
// Either a book of tokens, or (for tests only) every token is believed: a SPIFFE id stands for
// itself, and of a JWT the subject counts, whose signature nobody checks.
//
// Immutable.  Tokens never appear in errors.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"

namespace pillion::certs {

class CaTokens {
 public:
  // A line each: `SPIFFE-ID TOKEN`; empty lines and those that begin with '#' are skipped.  Errors
  // name the line.  Ids are of `trust_domain`; a token stands there once.
  static Result<CaTokens> parse(std::string_view text, std::string_view trust_domain);
  static CaTokens believe_any(std::string trust_domain);

  // The SPIFFE id that the token is for; none: it is not good.
  [[nodiscard]] std::optional<std::string> identity_of(std::string_view token) const;
  [[nodiscard]] size_t size() const noexcept { return entries_.size(); }

 private:
  struct Entry {
    std::string id, token;
  };
  explicit CaTokens(std::string trust_domain) : trust_domain_(std::move(trust_domain)) {}
  [[nodiscard]] std::optional<std::string> believed(std::string_view token) const;

  std::string trust_domain_;
  std::vector<Entry> entries_;
  bool believes_any_ = false;
};

}  // namespace pillion::certs
