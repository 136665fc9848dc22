#pragma once
// TokenCache: tokens of one provider that were verified, by the SHA-256 of their whole text; the
// one that was not used for longest goes first.  One per worker and provider.
//
// It saves the signature and the JSON.  What depends on time and on the request (exp, nbf,
// audience) is checked with each use, and a token is forgotten when its keys were replaced: one
// that was revoked by a change of keys does not live on here.

#include <cstring>
#include <list>
#include <memory>
#include <unordered_map>
#include <utility>

#include "filters/jwt/token.h"

namespace pillion::filters::jwt {

class TokenCache {
 public:
  // Null: not there, or verified by other keys.
  std::shared_ptr<const Token> find(const tls::Sha256& hash, const tls::JwkSet* keys) {
    const auto it = index_.find(hash);
    if (it == index_.end()) return nullptr;
    if (it->second->keys.get() != keys) {
      erase(it);
      return nullptr;
    }
    list_.splice(list_.begin(), list_, it->second);
    return it->second->token;
  }
  // `max` is at least 1.
  void insert(const tls::Sha256& hash, std::shared_ptr<const Token> token, tls::JwkSetPtr keys,
              size_t max) {
    remove(hash);
    while (list_.size() >= max) erase(index_.find(list_.back().hash));
    list_.push_front({hash, std::move(token), std::move(keys)});
    index_.emplace(hash, list_.begin());
  }
  void remove(const tls::Sha256& hash) {
    if (const auto it = index_.find(hash); it != index_.end()) erase(it);
  }
  [[nodiscard]] size_t size() const noexcept { return list_.size(); }

 private:
  struct Entry {
    tls::Sha256 hash;
    std::shared_ptr<const Token> token;
    tls::JwkSetPtr keys;  // kept, so that no others can have their address
  };
  // A cryptographic hash needs no other.
  struct FirstBytes {
    size_t operator()(const tls::Sha256& hash) const noexcept {
      size_t bytes;
      std::memcpy(&bytes, hash.data(), sizeof bytes);
      return bytes;
    }
  };
  using Index = std::unordered_map<tls::Sha256, std::list<Entry>::iterator, FirstBytes>;

  void erase(Index::iterator it) {
    list_.erase(it->second);
    index_.erase(it);
  }

  std::list<Entry> list_;  // the last used first
  Index index_;
};

}  // namespace pillion::filters::jwt
