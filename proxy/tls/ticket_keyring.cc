#include "proxy/tls/ticket_keyring.h"

#include <openssl/aead.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/hkdf.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha2.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "proxy/base/assert.h"
#include "proxy/base/str.h"
#include "proxy/tls/secret.h"

namespace pillion::tls {
namespace {

constexpr size_t kNonceBytes = TicketKeyring::kTextOffset - TicketKeyring::kNameBytes;

const uint8_t* bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

// The library's form of a key, overwritten at the end.
class Cipher {
 public:
  explicit Cipher(std::span<const uint8_t> secret) {
    EVP_AEAD_CTX_zero(&context_);
    is_good_ = EVP_AEAD_CTX_init(&context_, EVP_aead_xchacha20_poly1305(), secret.data(),
                                 secret.size(), EVP_AEAD_DEFAULT_TAG_LENGTH, nullptr) == 1;
  }
  ~Cipher() {
    EVP_AEAD_CTX_cleanup(&context_);
    OPENSSL_cleanse(&context_, sizeof context_);
    ERR_clear_error();
  }
  Cipher(const Cipher&) = delete;
  Cipher& operator=(const Cipher&) = delete;
  [[nodiscard]] bool is_good() const noexcept { return is_good_; }
  [[nodiscard]] const EVP_AEAD_CTX* get() const noexcept { return &context_; }

 private:
  EVP_AEAD_CTX context_;
  bool is_good_ = false;
};

}  // namespace

TicketKeyring::Key::~Key() { OPENSSL_cleanse(secret.data(), secret.size()); }

std::shared_ptr<const TicketKeyring> TicketKeyring::own(Duration lifetime) {
  static std::atomic<uint64_t> last{0};
  std::shared_ptr<TicketKeyring> made(new TicketKeyring(lifetime, /*rotates=*/true));
  made->id_ = str("own ", ++last);
  return made;
}

std::shared_ptr<const TicketKeyring> TicketKeyring::given(const TicketKeys& keys) {
  DASSERT(!keys.keys.empty());
  constexpr std::string_view kUse = "pillion session ticket";
  std::shared_ptr<TicketKeyring> made(new TicketKeyring(Duration{}, /*rotates=*/false));
  made->keys_.resize(keys.keys.size());
  SHA256_CTX hash;
  SHA256_Init(&hash);
  for (size_t i = 0; i < keys.keys.size(); ++i) {
    const auto& from = keys.keys[i];
    Key& key = made->keys_[i];
    std::memcpy(key.name.data(), from.data(), kNameBytes);
    const int ok =
        HKDF(key.secret.data(), key.secret.size(), EVP_sha256(), from.data() + kNameBytes,
             from.size() - kNameBytes, nullptr, 0, bytes(kUse), kUse.size());
    ASSERT(ok == 1);
    SHA256_Update(&hash, key.name.data(), key.name.size());
    SHA256_Update(&hash, key.secret.data(), key.secret.size());
  }
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256_Final(reinterpret_cast<uint8_t*>(digest.data()), &hash);
  made->id_ = str("given ", digest);
  return made;
}

size_t TicketKeyring::size() const {
  const std::lock_guard lock(mutex_);
  return keys_.size();
}

// With the lock held.  A key is no longer used to seal when kRotation has passed, so what it sealed
// has expired a lifetime later, however rarely this is called.
void TicketKeyring::rotate(Instant now) const {
  if (!rotates_) return;
  std::erase_if(keys_, [&](const Key& key) { return now - key.made >= kRotation + lifetime_; });
  if (!keys_.empty() && now - keys_.front().made < kRotation) return;
  Key key;
  RAND_bytes(key.name.data(), key.name.size());
  RAND_bytes(key.secret.data(), key.secret.size());
  key.made = now;
  keys_.insert(keys_.begin(), key);
}

TicketKeyring::Key TicketKeyring::newest(Instant now) const {
  const std::lock_guard lock(mutex_);
  rotate(now);
  return keys_.front();
}

std::optional<TicketKeyring::Key> TicketKeyring::named(std::span<const uint8_t> name,
                                                       Instant now) const {
  const std::lock_guard lock(mutex_);
  rotate(now);
  for (const Key& key : keys_) {
    if (std::equal(name.begin(), name.end(), key.name.begin(), key.name.end())) return key;
  }
  return std::nullopt;
}

bool TicketKeyring::seal(std::span<uint8_t> ticket, std::string_view bound_to, Instant now) const {
  DASSERT(ticket.size() >= kOverhead);
  const Key key = newest(now);
  const Cipher cipher(key.secret);
  std::memcpy(ticket.data(), key.name.data(), kNameBytes);
  uint8_t* nonce = ticket.data() + kNameBytes;
  RAND_bytes(nonce, kNonceBytes);
  uint8_t* text = ticket.data() + kTextOffset;
  size_t size = 0;
  return cipher.is_good() &&
         EVP_AEAD_CTX_seal(cipher.get(), text, &size, ticket.size() - kTextOffset, nonce,
                           kNonceBytes, text, ticket.size() - kOverhead, bytes(bound_to),
                           bound_to.size()) == 1;
}

std::optional<size_t> TicketKeyring::open(std::span<const uint8_t> ticket,
                                          std::string_view bound_to, Instant now,
                                          uint8_t* to) const {
  if (ticket.size() < kOverhead) return std::nullopt;
  const std::optional<Key> key = named(ticket.first(kNameBytes), now);
  if (!key) return std::nullopt;
  const Cipher cipher(key->secret);
  const auto sealed = ticket.subspan(kTextOffset);
  size_t size = 0;
  if (!cipher.is_good() ||
      EVP_AEAD_CTX_open(cipher.get(), to, &size, ticket.size(), ticket.data() + kNameBytes,
                        kNonceBytes, sealed.data(), sealed.size(), bytes(bound_to),
                        bound_to.size()) != 1) {
    return std::nullopt;
  }
  return size;
}

}  // namespace pillion::tls
