#include "proxy/tls/session_store.h"

#include <openssl/sha2.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <utility>

namespace pillion::tls {

void FreeSession::operator()(ssl_session_st* session) const noexcept { SSL_SESSION_free(session); }

SessionStore::Key SessionStore::key_of(const io::Address& server, std::string_view sni,
                                       std::string_view expected_name) {
  SHA256_CTX hash;
  SHA256_Init(&hash);
  const auto add = [&hash](std::string_view part) {
    const uint64_t size = part.size();
    SHA256_Update(&hash, &size, sizeof size);
    SHA256_Update(&hash, part.data(), part.size());
  };
  add(server.to_string());
  add(sni);
  add(expected_name);
  Key key;
  SHA256_Final(key.data(), &hash);
  return key;
}

void SessionStore::put(const Key& key, SessionPtr session) {
  size_t ticket_size = 0;
  SSL_SESSION_get0_ticket(session.get(), nullptr, &ticket_size);
  if (ticket_size > kMostTicketBytes) return;
  SessionPtr out;  // freed when the lock is gone
  const std::lock_guard lock(mutex_);
  const auto has_key = [&key](const Entry& entry) { return entry.key == key; };
  const auto count = static_cast<size_t>(std::count_if(entries_.begin(), entries_.end(), has_key));
  auto oldest = entries_.end();
  if (count >= per_key_) {
    oldest = std::find_if(entries_.begin(), entries_.end(), has_key);
  } else if (entries_.size() >= kMost) {
    oldest = entries_.begin();
  }
  if (oldest != entries_.end()) {
    out = std::move(oldest->session);
    entries_.erase(oldest);
  }
  entries_.push_back({key, std::move(session)});
}

SessionPtr SessionStore::take(const Key& key) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(entries_.rbegin(), entries_.rend(),
                                  [&key](const Entry& entry) { return entry.key == key; });
  if (found == entries_.rend()) return nullptr;
  SessionPtr session = std::move(found->session);
  entries_.erase(std::next(found).base());
  return session;
}

size_t SessionStore::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace pillion::tls
