// The state of the world (reference/envoy.md, 4, first column of the table).
#include "xds/subscription.h"

namespace pillion::xds {
namespace {

// The wildcard by its name, for where the empty list means none.
const std::string kStar = [] {
  std::string names;
  encode_name(names, "*");
  return names;
}();

}  // namespace

// Nonces die with their stream; the version and the names stay, and begin the next one.
void SotwSubscription::begin_stream() {
  nonce_.clear();
  has_spoken_ = said_names_ = said_all_ = false;
  dropped_.clear();
  again_.clear();
  is_news_ = true;
}

void SotwSubscription::interest_changed(const Names& before) {
  is_news_ = true;
  is_encoded_ = false;
  for (const auto& [name, asked] : before)
    if (!names_.contains(name)) name_dropped(name);
  for (const auto& [name, asked] : names_)
    if (!before.contains(name)) name_added(name);
}

void SotwSubscription::name_added(const std::string& name) {
  is_news_ = true;
  is_encoded_ = false;
  if (dropped_.erase(name) != 0) again_.insert(name);
}

void SotwSubscription::name_dropped(const std::string& name) {
  is_news_ = true;
  is_encoded_ = false;
  again_.erase(name);
  if (has_spoken_) dropped_.insert(name);
}

// Names that were never asked for are not asked for by an empty list, which would mean all.
bool SotwSubscription::has_news() {
  return is_news_ && (is_wildcard_ || !names_.empty() || said_names_ || said_all_);
}

// Without again_, which the next request brings.
std::string_view SotwSubscription::encoded_names() {
  if (is_encoded_) return encoded_;
  is_encoded_ = again_.empty();
  size_t size = 0;
  for (const auto& [name, asked] : names_) size += name.size() + 4;  // a tag and a length
  encoded_ = std::string();
  encoded_.reserve(size);
  for (const auto& [name, asked] : names_)
    if (again_.empty() || !again_.contains(name.str())) encode_name(encoded_, name);
  return encoded_;
}

// An ACK has the version that was just accepted, a NACK and all others the one before; all have the
// newest nonce, or the server takes them for late ones and drops them.
//
// A name that was dropped and is wanted again before anybody was told would be no news to a server
// that has said it already, and what it said is forgotten here.  So one request leaves it out, and
// the next one, which is due at once, names it.
//
// All that was asked for by an empty list is not asked for any more by a list that is empty again:
// the wildcard gets its name first, and the next request takes it back.
RequestBytes SotwSubscription::next_request(std::string_view node, const Reply* reply) {
  Request request;
  request.type = type_;
  request.node = node;
  request.version = version_;
  request.nonce = nonce_;
  if (reply != nullptr) request.error = reply->error;
  RequestBytes bytes{encode_request(request), encoded_names()};
  const bool has_names = !bytes.names.empty();
  const bool names_all = !is_wildcard_ && names_.empty() && said_all_ && !said_names_;
  if (names_all || (is_wildcard_ && said_names_)) bytes.names = kStar;
  said_all_ |= is_wildcard_ && !said_names_;
  said_names_ |= names_all || has_names;
  has_spoken_ = true;
  is_news_ = names_all || (!is_wildcard_ && !again_.empty());
  dropped_.clear();
  again_.clear();
  return bytes;
}

bool SotwSubscription::holds(const Response& response, const Resource&) const {
  return response.version == version_;
}

void SotwSubscription::begin_response(const Response& response) { nonce_ = response.nonce; }
void SotwSubscription::keep(const std::set<std::string>*) {}

// What is held is no version of the server's any more: without one it will say all of it again.
void SotwSubscription::expire(const std::set<std::string>&) { version_.clear(); }

}  // namespace pillion::xds
